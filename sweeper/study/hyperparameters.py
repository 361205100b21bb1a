"""What one trial is trained with."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError
from pydantic.json_schema import JsonSchemaValue

from sweeper.study.problems import issues_of, refusal, shown, unknown, wrong
from sweeper.study.quantities import (
    LARGEST_WHOLE,
    PERCENT_SCHEMA,
    Quantity,
    Real,
    Whole,
    percent_value,
)
from sweeper.study.section import Section

HyperparameterValue = int | float | str | None

_GPT2_MODULES = ("c_attn", "c_proj", "c_fc")
_TRAINED_WHOLE = ("embeddings", "norms")


@dataclass(frozen=True)
class Warmup(Quantity):
    """A length of warmup: a float is a share of the trial's steps, an int is steps.

    The share stays below 1 and a share of 0 becomes 0 steps, so no two spellings of unlike
    meaning are equal.
    """

    def check(self, value: Any) -> int | float:
        allowed = "allowed: a share from 0% to below 100%, such as 10% or 0.1, or whole steps"
        length = percent_value(value) if isinstance(value, str) else value
        if isinstance(length, bool) or not isinstance(length, (int, float)):
            raise wrong(f"expected a share or a number of steps, got {shown(value)} ({allowed})")
        if not (0 <= length < 1 or (isinstance(length, int) and 1 <= length <= LARGEST_WHOLE)):
            raise wrong(f"{shown(value)} is out of range ({allowed})")
        return length or 0

    def json_schema(self) -> JsonSchemaValue:
        share = {"type": "number", "minimum": 0, "exclusiveMaximum": 1}
        steps = {"type": "integer", "minimum": 0, "maximum": LARGEST_WHOLE}
        return {"anyOf": [PERCENT_SCHEMA, share, steps]}


@dataclass(frozen=True)
class NameSet(Quantity):
    """A set of names as one text, joined by `+` in one order; a list is accepted too.

    Attributes:
        first: Names that come first, in this order; the others follow sorted.
        closed: Whether `first` are all the names there are.
        may_be_empty: Whether the empty set has a meaning.
    """

    first: tuple[str, ...]
    closed: bool
    may_be_empty: bool

    def check(self, value: Any) -> str:
        if isinstance(value, str):
            names = [part.strip() for part in value.split("+")] if value else []
        elif isinstance(value, (list, tuple)):
            names = list(value)
        else:
            raise wrong(f"expected names, got {shown(value)} (allowed: {self._allowed})")
        if not names and not self.may_be_empty:
            raise wrong(f"no names are given (allowed: {self._allowed})")
        for name in names:
            self._check_name(name)
        others = sorted(set(names) - set(self.first))
        return "+".join([name for name in self.first if name in names] + others)

    def _check_name(self, name: object) -> None:
        if self.closed and name not in self.first:
            raise wrong(unknown(name, self.first))
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9_.]+", name):
            raise wrong(f"cannot use {shown(name)} as a name (allowed: {self._allowed})")

    @property
    def _allowed(self) -> str:
        known = ", ".join(self.first)
        kinds = known if self.closed else f"{known} or other names of letters, digits, _ and ."
        return f"{kinds}; several as a list or joined by +"

    def json_schema(self) -> JsonSchemaValue:
        word = "|".join(self.first) if self.closed else "[A-Za-z0-9_.]+"
        empty = "?" if self.may_be_empty else ""
        text = {"type": "string", "pattern": rf"^(({word})(\s*\+\s*({word}))*){empty}$"}
        items = {"type": "string", "pattern": f"^({word})$"}
        least = 0 if self.may_be_empty else 1
        return {"anyOf": [text, {"type": "array", "items": items, "minItems": least}]}


class Hyperparameters(Section):
    """All hyperparameters of a trial; in a file every one may be left out."""

    block_size: Annotated[int, Whole(2)] = Field(
        128, description="Tokens in one training sequence (a block)."
    )
    batch_size: Annotated[int, Whole(1)] = Field(
        8, description="Blocks in one forward pass (a micro-batch)."
    )
    accumulation: Annotated[int, Whole(1)] = Field(
        1, description="Micro-batches in one optimizer step."
    )
    learning_rate: Annotated[float, Real(above=0, high=10)] = Field(
        1e-3, description="Peak learning rate of AdamW, per step."
    )
    schedule: Literal["constant", "linear", "cosine"] = Field(
        "linear", description="Shape of the learning rate after the warmup."
    )
    warmup: Annotated[int | float, Warmup()] = Field(
        0,
        description="Length of the warmup: a share of the trial's steps (10% or 0.1), "
        "or steps (a whole number).",
    )
    warmup_start_factor: Annotated[float, Real(low=0, high=1)] = Field(
        0.1, description="Learning rate at step 0 of the warmup, as a fraction of the peak."
    )
    floor_factor: Annotated[float, Real(low=0, high=1)] = Field(
        0.0, description="Where a linear or cosine schedule ends, as a fraction of the peak."
    )
    weight_decay: Annotated[float, Real(low=0)] = Field(
        0.0, description="Decoupled weight decay of AdamW, per step and unit of learning rate."
    )
    clip_norm: Annotated[float, Real(above=0)] | None = Field(
        1.0, description="Largest global gradient norm; null: no clipping."
    )
    rank: Annotated[int, Whole(1)] = Field(8, description="Rank of the LoRA matrices.")
    alpha: Annotated[float, Real(above=0)] = Field(
        16.0, description="LoRA's alpha: the update is scaled by alpha / rank."
    )
    dropout: Annotated[float, Real(low=0, below=1)] = Field(
        0.0, description="Probability with which an input of the adapter is dropped."
    )
    target_modules: Annotated[str, NameSet(_GPT2_MODULES, closed=False, may_be_empty=False)] = (
        Field("c_attn+c_proj+c_fc", description="Names of the modules that get an adapter.")
    )
    train_also: Annotated[str, NameSet(_TRAINED_WHOLE, closed=True, may_be_empty=True)] = Field(
        "", description="Parts of the base that are trained whole, beside the adapter."
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="Number format of the frozen base's arithmetic."
    )
    seed: Annotated[int, Whole(0, LARGEST_WHOLE)] | None = Field(
        None, description="Seed of the trial; null: the study's seed."
    )

    @property
    def effective_batch(self) -> int:
        """Blocks in one optimizer step."""
        return self.batch_size * self.accumulation

    @property
    def tokens_per_step(self) -> int:
        """Tokens in one optimizer step."""
        return self.effective_batch * self.block_size

    def blocks_within(self, tokens: int) -> int:
        """Blocks of a run on a budget of tokens: whole ones, and at least one."""
        return max(tokens // self.block_size, 1)

    def steps_within(self, tokens: int) -> int:
        """Optimizer steps of a run on a budget of tokens; the last may be short."""
        return -(-self.blocks_within(tokens) // self.effective_batch)


INTEGER_HYPERPARAMETERS = frozenset({"block_size", "batch_size", "accumulation", "rank", "seed"})
REAL_HYPERPARAMETERS = frozenset(
    {
        "learning_rate",
        "warmup_start_factor",
        "floor_factor",
        "weight_decay",
        "clip_norm",
        "alpha",
        "dropout",
    }
)
WORD_HYPERPARAMETERS = frozenset({"schedule", "target_modules", "train_also", "precision"})


def resolved_value(name: str, value: object) -> HyperparameterValue:
    """One hyperparameter's Python value for what a file says.

    Raises:
        pydantic.ValidationError: The value does not fit; its path begins with the name.
    """
    resolved: HyperparameterValue = getattr(Hyperparameters.model_validate({name: value}), name)
    return resolved


def with_changes(
    hyperparameters: Hyperparameters, changes: Mapping[str, object]
) -> Hyperparameters:
    """The hyperparameters with some of them replaced, in the file's or Python's spelling.

    Raises:
        pydantic.ValidationError: A name is unknown or a value does not fit.
    """
    return Hyperparameters.model_validate(hyperparameters.model_dump() | dict(changes))


def warmup_steps(warmup: int | float, num_steps: int) -> int:
    """Steps of warmup in a trial of `num_steps`; a share is rounded, never beyond the trial."""
    steps = warmup if isinstance(warmup, int) else round(warmup * num_steps)
    return min(steps, num_steps)


def experiment_key(hyperparameters: Hyperparameters) -> str:
    """One text for all hyperparameters that mean the same experiment."""
    return json.dumps(experiment_values(hyperparameters), sort_keys=True)


def experiment_values(hyperparameters: Hyperparameters) -> dict[str, object]:
    """By name what tells an experiment from others.

    Eight blocks accumulated four times and thirty-two at once give the same gradient, so only
    their product counts. With dropout the random draws differ and so do the experiments.
    What nothing reads is left out: the floor of a rate that stays constant, and where a warmup
    of no length starts.
    """
    values: dict[str, object] = hyperparameters.model_dump()
    if hyperparameters.schedule == "constant":
        del values["floor_factor"]
    if hyperparameters.warmup == 0:
        del values["warmup_start_factor"]
    if hyperparameters.dropout == 0:
        del values["batch_size"], values["accumulation"]
        values["effective_batch"] = hyperparameters.effective_batch
    return values


@dataclass(frozen=True)
class Changes(Quantity):
    """Some hyperparameters, checked as all of them are; only those given are kept."""

    may_be_empty: bool

    def check(self, value: Any) -> dict[str, HyperparameterValue]:
        try:
            resolved = Hyperparameters.model_validate(value)
        except ValidationError as error:
            raise refusal("Changes", issues_of(error)) from error
        if not value and not self.may_be_empty:
            raise wrong("nothing is changed (allowed: at least one hyperparameter)")
        # In the order of the fields, so that the order in the file has no effect.
        return {
            name: getattr(resolved, name) for name in Hyperparameters.key_names() if name in value
        }

    def json_schema(self) -> JsonSchemaValue:
        return hyperparameters_schema() | ({} if self.may_be_empty else {"minProperties": 1})


def hyperparameters_schema() -> JsonSchemaValue:
    """The JSON Schema of a mapping of hyperparameters, without references."""
    # Without the defaults: what is not written here keeps the baseline's value.
    fields = Hyperparameters.model_json_schema()["properties"].items()
    properties = {
        name: {key: part for key, part in schema.items() if key != "default"}
        for name, schema in fields
    }
    return {"type": "object", "additionalProperties": False, "properties": properties}

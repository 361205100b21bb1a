"""The parts of a study file, one class for each of its keys."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import (
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from sweeper.study.hyperparameters import Changes, Hyperparameters, HyperparameterValue
from sweeper.study.price import Price, PriceText, price_from
from sweeper.study.problems import Issue, refusal, shown, wrong
from sweeper.study.quantities import (
    AutoOrWhole,
    Duration,
    Percent,
    Quantity,
    Real,
    Source,
    Text,
    Tokens,
    Whole,
)
from sweeper.study.rungs import Rungs
from sweeper.study.section import Section


class DataSpec(Section):
    """The corpus and how it is split."""

    train: Annotated[str, Source(("pydoc-qa",), "a path to .md, .txt or .jsonl")] = Field(
        description="builtin:pydoc-qa, or a file or folder relative to the study file."
    )
    validation: Annotated[float, Percent(high=0.5)] = Field(
        0.05, description="Share of the documents held out for validation."
    )
    test: Annotated[float, Percent(high=0.5)] | None = Field(
        None,
        description="Share of the documents that no trial of the search trains or is judged on; "
        "verify judges on them. null: none.",
    )
    loss_on: Literal["all", "answers"] = Field(
        "all", description="Tokens that the training loss counts: all, or those of answers."
    )
    format: Literal["auto", "markdown", "text", "jsonl"] = Field(
        "auto", description="How the corpus is read; auto goes by the file's ending."
    )


class EvaluateSpec(Section):
    """The one way in which every trial is judged."""

    block_size: Annotated[int, Whole(2)] = Field(
        128, description="Tokens in one evaluation block, the same for all trials."
    )
    every_tokens: Annotated[int, Tokens()] = Field(
        40_000, description="Tokens between evaluations (the rungs)."
    )
    first_tokens: Annotated[int, Tokens()] | None = Field(
        None,
        description="Tokens to the first evaluation; the next comes at twice as many, and so on up "
        "to every_tokens. null: every_tokens.",
    )
    tokens: Annotated[int, Tokens()] | None = Field(
        None, description="Most validation tokens to evaluate on; null: all of them."
    )
    metric: Literal["val_loss"] = Field(
        "val_loss", description="What is minimised: nats per predicted token."
    )
    split: Literal["validation", "test"] = Field(
        "validation", description="The documents that trials are judged on; test never searches."
    )

    @property
    def rungs(self) -> Rungs:
        """Where on the token axis it happens."""
        return Rungs(self.every_tokens, self.first_tokens)


class BudgetSpec(Section):
    """What the study and each of its trials may spend."""

    trials: Annotated[int, Whole(1)] = Field(
        description="Trials in all, the baseline and the hypotheses among them."
    )
    tokens_per_trial: Annotated[int, Tokens()] = Field(
        description="Training tokens of one trial that runs to its end."
    )
    tokens: Annotated[int, Tokens()] | None = Field(
        None, description="Training tokens of all trials together; null: no limit."
    )
    wall_clock_s: Annotated[float, Duration()] | None = Field(
        None, alias="wall_clock", description="Time for the whole study; null: no limit."
    )
    time_per_trial_s: Annotated[float, Duration()] | None = Field(
        None,
        alias="time_per_trial",
        description="Training time of one trial, without evaluations; what trials trained together "
        "take is shared by their tokens. null: no limit.",
    )
    price: Annotated[str, PriceText()] | None = Field(
        None,
        description="What an hour of the machine costs, such as 2.10 USD/hour, or of each worker, "
        "such as 0.40 EUR/worker-hour; null: no money is counted.",
    )

    @property
    def price_per_hour(self) -> Price | None:
        """The price in its parts."""
        return None if self.price is None else price_from(self.price)


class BaselineSpec(Section):
    """The run to beat."""

    hyperparameters: Hyperparameters = Field(
        Hyperparameters(), description="What it is trained with; others keep their defaults."
    )
    recorded: Annotated[str, Text()] | None = Field(
        None, description="Its log from elsewhere, as a path relative to the study file."
    )


Conditions = Annotated[tuple[HyperparameterValue, ...], Field(strict=False, min_length=1)]


class SearchSpec(Section):
    """How the next trial is chosen."""

    sampler: Literal["tpe", "random", "grid", "qmc", "cmaes", "gp", "list"] = Field(
        "tpe", description="The sampler; list runs the trials under `trials`, in order."
    )
    startup_trials: Annotated[int, Whole(0)] = Field(
        10, description="Random trials before a sampler that learns begins to."
    )
    prior: Literal["none", "lora"] = Field(
        "none",
        description="Where the random trials look for the learning rate: everywhere, or about "
        "where the literature expects that of LoRA.",
    )
    warm_start: Annotated[str, Text()] | None = Field(
        None,
        description="The file of an earlier study of the same space, relative to this one: its "
        "trials tell the sampler where to begin.",
    )
    only_where: dict[str, dict[str, Conditions]] = Field(
        default_factory=dict,
        description="For a searched hyperparameter, the values of others that it is searched "
        "beside, such as warmup: {schedule: [linear, cosine]}; elsewhere it keeps the baseline's.",
    )


class SpikeRule(Section):
    """When a trial is stopped for a spike that does not come back."""

    patience: Annotated[float, Percent()] = Field(
        0.1, description="How long a spike may last, as a share of the trial's tokens."
    )
    threshold: Annotated[float, Real(above=0)] = Field(
        6.0, description="Height of a spike, in standard deviations of the loss."
    )


class PlateauRule(Section):
    """When a trial is stopped for a validation loss that no longer falls."""

    window: Annotated[float, Percent()] = Field(
        0.4, description="The stretch that must show progress, as a share of the trial's tokens."
    )
    margin: Annotated[float, Real(above=0)] = Field(
        0.1, description="How far above the best trial a flat one must be to be stopped, in nats."
    )


@dataclass(frozen=True)
class _DefaultOrOff:
    """Lets a rule be written as `default`, as `off`, or as a mapping of its settings."""

    rule: type[Section]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(
            self._expanded,
            handler(source),
            serialization=core_schema.wrap_serializer_function_ser_schema(
                lambda rule, serialize: "off" if rule is None else serialize(rule)
            ),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        settings = [part for part in handler(schema)["anyOf"] if part != {"type": "null"}]
        return {"anyOf": [{"enum": ["default", "off"]}, *settings]}

    def _expanded(self, value: object) -> object:
        if value == "default":
            return self.rule()
        if value == "off":
            return None
        if isinstance(value, (Mapping, self.rule)):
            return value
        settings = ", ".join(self.rule.key_names())
        raise wrong(f"cannot use {shown(value)} (allowed: default, off, or {{{settings}}})")


class PruneSpec(Section):
    """The rules that end a trial early; None where a rule is off."""

    spike: Annotated[SpikeRule | None, _DefaultOrOff(SpikeRule)] = Field(
        SpikeRule(), description="Stop after a spike that does not come back."
    )
    plateau: Annotated[PlateauRule | None, _DefaultOrOff(PlateauRule)] = Field(
        PlateauRule(), description="Stop when the validation loss no longer falls."
    )
    peers: Literal["off", "lag", "asha"] = Field(
        "off",
        description="Stop when others are better: lag, too much slower than the leaders to come "
        "where they are; asha, not in the best third at equal tokens.",
    )
    audit: Annotated[float, Percent()] | None = Field(
        None,
        description="Share of the trials to be stopped that go on to their end all the same, to "
        "tell how often stopping is wrong; null: none.",
    )


class Expectation(NamedTuple):
    """What a hypothesis claims: that a metric moves to one side of the baseline's.

    Attributes:
        metric: `speed` (tokens per second) or `val_loss` (nats).
        operator: `<` or `>`.
    """

    metric: str
    operator: str


_EXPECTATION = re.compile(r"(speed|val_loss)\s*([<>])\s*baseline")


@dataclass(frozen=True)
class _ExpectationText(Quantity):
    def check(self, value: Any) -> str:
        match = _EXPECTATION.fullmatch(value) if isinstance(value, str) else None
        if not match:
            allowed = "allowed: speed or val_loss, then < or >, then baseline"
            raise wrong(f"cannot read {shown(value)} as an expectation ({allowed})")
        return f"{match[1]} {match[2]} baseline"

    def json_schema(self) -> JsonSchemaValue:
        return {
            "type": "string",
            "pattern": f"^{_EXPECTATION.pattern}$",
            "examples": ["speed > baseline", "val_loss < baseline"],
        }


class Hypothesis(Section):
    """A named change to the baseline, with or without an expectation."""

    name: Annotated[str, Text(longest=200)] = Field(description="Its name, unique in the study.")
    change: Annotated[dict[str, HyperparameterValue], Changes(may_be_empty=False)] = Field(
        description="The hyperparameters in which it differs from the baseline."
    )
    expect: Annotated[str, _ExpectationText()] | None = Field(
        None, description="What should happen, such as `speed > baseline`."
    )

    @property
    def expectation(self) -> Expectation | None:
        """The expectation in its parts."""
        match = _EXPECTATION.fullmatch(self.expect or "")
        return Expectation(match[1], match[2]) if match else None


class HangRule(Section):
    """When a training process that takes no step is killed, and its trials begun again."""

    factor: Annotated[float, Real(above=1)] = Field(
        50.0, description="How many times as long as a step usually takes."
    )
    at_least_s: Annotated[float, Duration()] = Field(
        600.0, alias="at_least", description="Time that it is given in any case."
    )


class WorkersSpec(Section):
    """Who trains the trials."""

    count: Annotated[int | Literal["auto"], AutoOrWhole()] = Field(
        "auto", description="Worker processes at a time; auto: measured."
    )
    backend: Literal["loky", "inline", "dask", "ray"] = Field(
        "loky",
        description="loky starts processes; inline trains in this one; dask and ray start "
        "processes on the machines of a cluster.",
    )
    address: Annotated[str, Text()] | None = Field(
        None, description="Where the cluster of dask or ray listens; null: one on this machine."
    )
    threads: Annotated[int | Literal["auto"], AutoOrWhole()] = Field(
        "auto", description="CPU threads of one worker."
    )
    slots: Annotated[int | Literal["auto"], AutoOrWhole()] = Field(
        "auto", description="Trials that one worker trains at a time, packed on one base."
    )
    hang: Annotated[HangRule | None, _DefaultOrOff(HangRule)] = Field(
        HangRule(), description="Kill a training process that takes no step any more."
    )
    retries: Annotated[int, Whole(0)] = Field(
        2, description="Times that a trial is begun again after its worker died."
    )

    @model_validator(mode="after")
    def _backend_can_do_it(self) -> Self:
        if self.backend == "inline" and self.count not in {"auto", 1}:
            message = f"inline is one process, not {self.count} (allowed with inline: auto, 1)"
            raise refusal("WorkersSpec", [Issue(("count",), message)])
        if self.address is not None and self.backend not in {"dask", "ray"}:
            message = f"{self.backend} has no address (allowed: null; or backend: dask or ray)"
            raise refusal("WorkersSpec", [Issue(("address",), message)])
        return self

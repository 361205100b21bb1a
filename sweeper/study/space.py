"""The search space: for each searched hyperparameter a list of values or a range."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import Field, StrictBool, ValidationError, model_validator
from pydantic.json_schema import JsonSchemaValue

from sweeper.study.hyperparameters import (
    INTEGER_HYPERPARAMETERS,
    WORD_HYPERPARAMETERS,
    Hyperparameters,
    HyperparameterValue,
    hyperparameters_schema,
    resolved_value,
)
from sweeper.study.problems import UNKNOWN_KEY, Issue, issues_of, refusal, shown, unknown, wrong
from sweeper.study.quantities import PERCENT_SCHEMA, Quantity, Real, percent_value
from sweeper.study.section import Section


@dataclass(frozen=True)
class Choice:
    """A hyperparameter that takes one of some distinct values."""

    values: tuple[HyperparameterValue, ...]


@dataclass(frozen=True)
class _Bound(Quantity):
    """An end of a range, or its step: a number that keeps its kind, or a percentage."""

    def check(self, value: Any) -> int | float:
        share = percent_value(value) if isinstance(value, str) else None
        number = Real().check(value if share is None else share)
        return value if isinstance(value, int) else number

    def json_schema(self) -> JsonSchemaValue:
        return {"type": "number"}


class Range(Section):
    """A hyperparameter that takes any number from `low` to `high`, both included.

    Both ends and the step are ints for a whole hyperparameter (and for a warmup in steps),
    floats otherwise.
    """

    low: Annotated[int | float, _Bound()] = Field(description="The smallest value.")
    high: Annotated[int | float, _Bound()] = Field(description="The largest value.")
    log: StrictBool = Field(False, description="Whether to search the logarithm evenly.")
    step: Annotated[int | float, _Bound()] | None = Field(
        None, description="Distance between neighbouring values; null: any value."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if issues := list(self._issues()):
            raise refusal("Range", issues)
        return self

    def _issues(self) -> Iterator[Issue]:
        yield from _order(self.low, self.high)
        if self.log and self.low <= 0:
            yield Issue(("low",), f"{self.low} has no logarithm (allowed with log: above 0)")
        if self.step is None:
            return
        if self.log:
            yield Issue(("step",), "a step does not go with log (allowed: one of the two)")
        if self.is_integer and not isinstance(self.step, int):
            yield Issue(("step",), f"{self.step} is not whole (allowed: a whole number)")
        elif not 0 < self.step <= max(self.high - self.low, 0):
            allowed = f"allowed: above 0 and at most high - low = {self.high - self.low:g}"
            yield Issue(("step",), f"{self.step} does not fit the range ({allowed})")

    @property
    def is_integer(self) -> bool:
        """Whether only whole numbers belong to it."""
        return isinstance(self.low, int)

    def grid_size(self) -> int:
        """Number of values from `low` in whole steps; the range must have a step."""
        if self.step is None:
            raise ValueError("a range without a step has no grid")
        return int((_exact(self.high) - _exact(self.low)) / _exact(self.step)) + 1

    def grid_values(self) -> tuple[int | float, ...]:
        """The values from `low` in whole steps, without drift; the range must have a step."""
        kind = int if self.is_integer else float
        low, step = _exact(self.low), _exact(self.step or 0)
        return tuple(kind(low + i * step) for i in range(self.grid_size()))


Dimension = Choice | Range


def _exact(number: int | float) -> Decimal:
    """The number that its shortest spelling says: 0.1 is a tenth."""
    return Decimal(str(number))


@dataclass(frozen=True)
class SearchSpace(Quantity):
    """All dimensions by hyperparameter, in the order of the file."""

    def check(self, value: Any) -> dict[str, Dimension]:
        if not isinstance(value, Mapping):
            raise wrong(f"expected a mapping of hyperparameters, got {shown(value)}")
        space: dict[str, Dimension] = {}
        issues: list[Issue] = []
        for name, form in value.items():
            try:
                space[name] = _dimension(name, form)
            except ValidationError as error:
                issues += [issue._replace(path=(name, *issue.path)) for issue in issues_of(error)]
        if issues:
            raise refusal("SearchSpace", issues)
        return space

    def json_schema(self) -> JsonSchemaValue:
        hyperparameters = hyperparameters_schema()["properties"]
        return {
            "type": "object",
            "additionalProperties": False,
            "properties": {name: _schema(name, hyperparameters[name]) for name in hyperparameters},
        }


def dimension_to_plain(dimension: Dimension) -> object:
    """A dimension as the study file writes it."""
    if isinstance(dimension, Choice):
        return list(dimension.values)
    return dimension.model_dump()


def _dimension(name: str, form: object) -> Dimension:
    if name not in Hyperparameters.model_fields:
        message = unknown(name, Hyperparameters.key_names(), "hyperparameter")
        raise refusal("SearchSpace", [Issue((), message, UNKNOWN_KEY)])
    if isinstance(form, Choice):
        form = list(form.values)
    if isinstance(form, Range):
        form = form.model_dump()
    if isinstance(form, list):
        return _choice(name, form)
    if not isinstance(form, dict):
        allowed = "allowed: a list of values" + ("" if _is_word(name) else ", or {low, high}")
        raise refusal("SearchSpace", [Issue((), f"cannot search {shown(form)} ({allowed})")])
    return _range(name, form)


def _choice(name: str, forms: list[object]) -> Choice:
    if not forms:
        raise refusal("Choice", [Issue((), "the list is empty (allowed: one value or more)")])
    values: list[HyperparameterValue] = []
    issues: list[Issue] = []
    for index, form in enumerate(forms):
        try:
            value = resolved_value(name, form)
        except ValidationError as error:
            issues += [Issue((index, *i.path[1:]), i.message, i.kind) for i in issues_of(error)]
            continue
        if value in values:
            issues.append(Issue((index,), f"{value} is listed twice (allowed: distinct values)"))
        values.append(value)
    if issues:
        raise refusal("Choice", issues)
    return Choice(tuple(values))


def _range(name: str, form: dict[str, object]) -> Range:
    if _is_word(name):
        message = f"{name} is not a number and has no range (allowed: a list of values)"
        raise refusal("Range", [Issue((), message)])
    resolved, issues = _with_resolved_ends(name, form)
    try:
        dimension = Range.model_validate(resolved)
    except ValidationError as error:
        judged = {issue.path for issue in issues}
        issues += [issue for issue in issues_of(error) if issue.path not in judged]
        if not {("low",), ("high",)} & {issue.path for issue in issues}:
            # Pydantic compares the ends only where everything else is right.
            issues += _order(resolved["low"], resolved["high"])
    if issues:
        raise refusal("Range", issues)
    return dimension


def _order(low: object, high: object) -> Iterator[Issue]:
    if isinstance(low, (int, float)) and isinstance(high, (int, float)) and low >= high:
        yield Issue(("high",), f"{high} is not above low (allowed: above {low})")


def _with_resolved_ends(
    name: str, form: dict[str, object]
) -> tuple[dict[str, object], list[Issue]]:
    """The range with ends of the hyperparameter's kind, and what is wrong with them."""
    resolved, issues = dict(form), []
    for end in [end for end in ("low", "high") if end in form]:
        try:
            resolved[end] = resolved_value(name, form[end])
        except ValidationError as error:
            issues += [issue._replace(path=(end,)) for issue in issues_of(error)]
    ends = (resolved.get("low"), resolved.get("high"))
    if name not in INTEGER_HYPERPARAMETERS and any(isinstance(end, float) for end in ends):
        if isinstance(ends[1], int) or (isinstance(ends[0], int) and ends[0] != 0):
            message = "one end is a share and the other is steps (allowed: both alike)"
            issues.append(Issue(("high",), message))
        step = resolved.get("step")
        resolved |= {
            key: float(number)
            for key, number in {"low": ends[0], "high": ends[1], "step": step}.items()
            if isinstance(number, int) and not isinstance(number, bool)
        }
    return resolved, issues


def _is_word(name: str) -> bool:
    return name in WORD_HYPERPARAMETERS


def _schema(name: str, value: JsonSchemaValue) -> JsonSchemaValue:
    """What a file may say about one dimension, given what it may say about one value."""
    plain = {key: part for key, part in value.items() if key not in {"default", "title"}}
    listed = {"type": "array", "items": plain, "minItems": 1, "uniqueItems": True}
    if _is_word(name):
        return listed
    number = {key: part for key, part in plain.items() if key != "description"}
    ends = {"low": number, "high": number}
    step = {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, PERCENT_SCHEMA, {"type": "null"}]}
    ranged = {
        "type": "object",
        "additionalProperties": False,
        "required": ["low", "high"],
        "properties": ends | {"log": {"type": "boolean", "default": False}, "step": step},
    }
    return {"anyOf": [listed, ranged]}


def grid_size(space: Mapping[str, Dimension]) -> int:
    """Number of points of a grid over lists and stepped ranges."""
    sizes = [len(d.values) if isinstance(d, Choice) else d.grid_size() for d in space.values()]
    return list(itertools.accumulate(sizes, int.__mul__, initial=1))[-1]

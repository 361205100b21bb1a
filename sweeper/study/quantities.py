"""Numbers and texts as people write them in a study file: `40k` tokens, `30min`, `5%`.

A quantity is used as the metadata of an annotated type; it turns what the file says into the
Python value and describes to the JSON Schema what the file may say.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from sweeper.study.problems import shown, unknown, wrong

LARGEST_WHOLE = 2**31 - 1
LARGEST_TOKENS = 2**53

_NUMBER = r"[0-9]{1,18}(?:\.[0-9]{1,18})?"
_PERCENT = re.compile(rf"({_NUMBER})\s*%")
_TOKENS = re.compile(rf"({_NUMBER})\s*([kKMG])")
_TOKEN_UNITS = {"k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9}
_DURATION_PARTS = ("d", "h", "min", "s")
_SECONDS_PER = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}
_DURATION = re.compile(r"\s*".join(rf"(?:({_NUMBER})\s*{u})?" for u in _DURATION_PARTS))


class Quantity(ABC):
    """Something that a study file writes in its own way."""

    @abstractmethod
    def check(self, value: Any) -> Any:
        """The Python value of what the file says.

        Raises:
            PydanticCustomError: The value does not fit; the message says what would.
        """

    @abstractmethod
    def json_schema(self) -> JsonSchemaValue:
        """What the file may say."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return self.json_schema()


@dataclass(frozen=True)
class Whole(Quantity):
    """A whole number from `low` to `high`, both included."""

    low: int
    high: int = LARGEST_WHOLE

    @property
    def allowed(self) -> str:
        if self.high == LARGEST_WHOLE:
            return f"a whole number, at least {self.low}"
        return f"a whole number from {self.low} to {self.high}"

    def check(self, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong(f"expected a whole number, got {_got(value)} (allowed: {self.allowed})")
        if not self.low <= value <= self.high:
            if value < self.low:
                raise wrong(f"{shown(value)} is too small (allowed: {self.allowed})")
            allowed = f"a whole number from {self.low} to {self.high}"
            raise wrong(f"{shown(value)} is too large (allowed: {allowed})")
        return value

    def json_schema(self) -> JsonSchemaValue:
        return {"type": "integer", "minimum": self.low, "maximum": self.high}


@dataclass(frozen=True)
class AutoOrWhole(Quantity):
    """The word `auto`, or a whole number of at least 1."""

    def check(self, value: Any) -> int | str:
        if value == "auto":
            return "auto"
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST_WHOLE:
            return value
        raise wrong(f"cannot use {_got(value)} (allowed: auto, or a whole number, at least 1)")

    def json_schema(self) -> JsonSchemaValue:
        return {"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1}]}


@dataclass(frozen=True)
class Real(Quantity):
    """A finite number between two bounds; `above` and `below` leave the bound itself out."""

    low: float | None = None
    above: float | None = None
    high: float | None = None
    below: float | None = None

    @property
    def allowed(self) -> str:
        bounds = [
            (self.low, "at least"),
            (self.above, "above"),
            (self.high, "at most"),
            (self.below, "below"),
        ]
        parts = [f"{word} {bound:g}" for bound, word in bounds if bound is not None]
        return "a number" + (" " + " and ".join(parts) if parts else "")

    def check(self, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise wrong(f"expected a number, got {_got(value)} (allowed: {self.allowed})")
        if not math.isfinite(number := _as_float(value)):
            raise wrong(f"{shown(value)} is not finite (allowed: {self.allowed})")
        if not self._within(number):
            raise wrong(f"{shown(value)} is out of range (allowed: {self.allowed})")
        return number + 0.0  # -0.0 becomes 0.0, so that equal values have one spelling

    def _within(self, number: float) -> bool:
        return (
            (self.low is None or number >= self.low)
            and (self.above is None or number > self.above)
            and (self.high is None or number <= self.high)
            and (self.below is None or number < self.below)
        )

    def json_schema(self) -> JsonSchemaValue:
        bounds = {
            "minimum": self.low,
            "exclusiveMinimum": self.above,
            "maximum": self.high,
            "exclusiveMaximum": self.below,
        }
        return {"type": "number"} | {name: b for name, b in bounds.items() if b is not None}


@dataclass(frozen=True)
class Percent(Quantity):
    """A share, written `5%` or 0.05; above 0 and at most `high`."""

    high: float = 1.0

    def check(self, value: Any) -> float:
        allowed = f"allowed: above 0% and at most {self.high:.0%}, such as 5% or 0.05"
        share = percent_value(value) if isinstance(value, str) else value
        if isinstance(share, bool) or not isinstance(share, (int, float)):
            raise wrong(f"expected a percentage, got {_got(value)} ({allowed})")
        if not 0 < share <= self.high:
            raise wrong(f"{_written(value)} is out of range ({allowed})")
        return float(share)

    def json_schema(self) -> JsonSchemaValue:
        number = {"type": "number", "exclusiveMinimum": 0, "maximum": self.high}
        return {"anyOf": [PERCENT_SCHEMA, number]}


PERCENT_SCHEMA: JsonSchemaValue = {
    "type": "string",
    "pattern": r"^[0-9]+(\.[0-9]+)?\s*%$",
    "examples": ["5%"],
}


@dataclass(frozen=True)
class Tokens(Quantity):
    """A count of tokens, written as a whole number or as `40k`, `1.5M`, `2G`."""

    def check(self, value: Any) -> int:
        allowed = "allowed: a whole number of tokens, at least 1, such as 40000, 40k or 1.5M"
        count = _token_count(value) if isinstance(value, str) else value
        if isinstance(count, bool) or not isinstance(count, int):
            raise wrong(f"expected a count of tokens, got {_got(value)} ({allowed})")
        if not 1 <= count <= LARGEST_TOKENS:
            raise wrong(f"{_written(value)} is out of range ({allowed})")
        return count

    def json_schema(self) -> JsonSchemaValue:
        text = {
            "type": "string",
            "pattern": r"^[0-9]+(\.[0-9]+)?\s*[kKMG]$",
            "examples": ["40k", "1.5M"],
        }
        return {"anyOf": [text, {"type": "integer", "minimum": 1, "maximum": LARGEST_TOKENS}]}


@dataclass(frozen=True)
class Duration(Quantity):
    """A time span in seconds, written `90s`, `30min`, `1h30min` or as plain seconds."""

    def check(self, value: Any) -> float:
        allowed = "allowed: seconds above 0, or such as 90s, 30min, 2h, 1h30min, 1d"
        seconds = _seconds(value) if isinstance(value, str) else value
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
            raise wrong(f"expected a duration, got {_got(value)} ({allowed})")
        if not 0 < (number := _as_float(seconds)) < math.inf:
            raise wrong(f"{_written(value)} is out of range ({allowed})")
        return number

    def json_schema(self) -> JsonSchemaValue:
        pattern = r"\s*".join(rf"([0-9]+(\.[0-9]+)?\s*{unit})?" for unit in _DURATION_PARTS)
        text = {"type": "string", "minLength": 2, "pattern": f"^{pattern}$", "examples": ["30min"]}
        return {"anyOf": [text, {"type": "number", "exclusiveMinimum": 0}]}


@dataclass(frozen=True)
class Text(Quantity):
    """A printable text, not empty and without space around it; `pattern` must match it whole.

    Of one that `may_be_secret`, messages do not quote what has an @, as `user:password@host` has.
    """

    longest: int = 4096
    pattern: str = ""
    allowed: str = "a text in one line, not empty, without space around it"
    may_be_secret: bool = False

    def check(self, value: Any) -> str:
        if not isinstance(value, str):
            hint = "; put it in quotes" if isinstance(value, (bool, int, float)) else ""
            raise wrong(f"expected a text, got {shown(value)}{hint} (allowed: {self.allowed})")
        if not value or value != value.strip() or not value.isprintable():
            raise self._refusal(value)
        if len(value) > self.longest:
            raise wrong(f"the text has {len(value)} characters (allowed: at most {self.longest})")
        if self.pattern and not re.fullmatch(self.pattern, value):
            raise self._refusal(value)
        return value

    def _refusal(self, value: str) -> PydanticCustomError:
        what = "what stands here" if self.may_be_secret and "@" in value else shown(value)
        return wrong(f"cannot use {what} (allowed: {self.allowed})")

    def json_schema(self) -> JsonSchemaValue:
        schema = {"type": "string", "minLength": 1, "maxLength": self.longest}
        return schema | ({"pattern": f"^(?:{self.pattern})$"} if self.pattern else {})


@dataclass(frozen=True)
class Source(Quantity):
    """One of our own things as `builtin:NAME`, or else the name of one elsewhere."""

    builtins: tuple[str, ...]
    elsewhere: str

    def check(self, value: Any) -> str:
        choices = [f"builtin:{name}" for name in self.builtins]
        allowed = ", ".join([*choices, self.elsewhere])
        text = Text(allowed=allowed).check(value)
        if text.startswith("builtin:") and text not in choices:
            raise wrong(unknown(text, [*choices, self.elsewhere]))
        return text

    def json_schema(self) -> JsonSchemaValue:
        examples = [f"builtin:{name}" for name in self.builtins]
        return {"type": "string", "minLength": 1, "examples": examples}


def percent_value(text: str) -> float | None:
    """The share that a text such as `5%` stands for; None where it is no percentage."""
    match = _PERCENT.fullmatch(text)
    return float(Decimal(match[1]) / 100) if match else None


def _token_count(text: str) -> int | None:
    match = _TOKENS.fullmatch(text)
    if not match:
        return None
    count = Decimal(match[1]) * _TOKEN_UNITS[match[2]]
    return int(count) if count == count.to_integral_value() else None


def _seconds(text: str) -> float | None:
    match = _DURATION.fullmatch(text)
    if not match or not any(match.groups()):
        return None
    parts = zip(_DURATION_PARTS, match.groups(), strict=True)
    return float(sum(Decimal(count) * _SECONDS_PER[unit] for unit, count in parts if count))


def _as_float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number beyond 1.8e308
        return math.inf if value > 0 else -math.inf


def _got(value: object) -> str:
    """A value of the wrong kind; a quoted number gets the remedy with it."""
    if isinstance(value, str) and re.fullmatch(r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?", value):
        return f"{shown(value)}; remove the quotes"
    return shown(value)


def _written(value: object) -> str:
    """A value of the right kind as the file writes it."""
    return value if isinstance(value, str) else shown(value)

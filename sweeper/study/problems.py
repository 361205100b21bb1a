"""What is wrong with a value, said once and carried with its place in the data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

KeyPath = tuple[str | int, ...]

WRONG_VALUE = "wrong_value"
UNKNOWN_KEY = "unknown_key"
MISSING_KEY = "missing_key"

_MAPPING_ERRORS = {"model_type", "model_attributes_type", "dict_type"}
_LIST_ERRORS = {"tuple_type", "list_type"}


class Issue(NamedTuple):
    """One wrong thing, found in plain data that knows nothing of lines and columns.

    Attributes:
        path: Keys and list indices from the top of the study to the wrong thing.
        message: What is wrong, with what is allowed in brackets.
        kind: `wrong_value`, `unknown_key` or `missing_key`; it decides which place is shown.
    """

    path: KeyPath
    message: str
    kind: str = WRONG_VALUE


def wrong(message: str, kind: str = WRONG_VALUE) -> PydanticCustomError:
    """An error for validators to raise; its message reaches the user unchanged."""
    # The braces of a message must not be read as a template, hence the detour.
    return PydanticCustomError(kind, "{message}", {"message": message})


def refusal(title: str, issues: Iterable[Issue]) -> ValidationError:
    """All issues as one error; inside a validator pydantic puts the outer keys before each path."""
    return ValidationError.from_exception_data(
        title,
        [
            InitErrorDetails(type=wrong(issue.message, issue.kind), loc=issue.path, input=None)
            for issue in issues
        ],
    )


def issues_of(error: ValidationError, allowed: Sequence[str] = ()) -> list[Issue]:
    """Every error of a validation in plain words.

    Args:
        error: What pydantic raised.
        allowed: The keys that the validated mapping may have.
    """
    return [
        _issue(details, allowed) for details in error.errors(include_url=False, include_input=True)
    ]


def _issue(details: ErrorDetails, allowed: Sequence[str]) -> Issue:
    path, kind = details["loc"], details["type"]
    if kind == "extra_forbidden":
        return Issue(path, unknown(str(path[-1]), allowed, "key"), UNKNOWN_KEY)
    if kind == "missing":
        return Issue(path, "this key is missing and has no default", MISSING_KEY)
    known = kind if kind in {UNKNOWN_KEY, MISSING_KEY} else WRONG_VALUE
    return Issue(path, _wrong_value(details), known)


def _wrong_value(details: ErrorDetails) -> str:
    kind, value = details["type"], details["input"]
    if kind == "literal_error":
        words = details["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return unknown(value, words)
    if kind in _MAPPING_ERRORS:
        return f"expected a mapping of keys to values, got {shown(value)}"
    if kind in _LIST_ERRORS:
        return f"expected a list, got {shown(value)}"
    if kind in {"bool_type", "bool_parsing"}:
        return f"expected true or false, got {shown(value)} (allowed: true, false)"
    return details["msg"]


def unknown(value: object, allowed: Sequence[str], what: str = "") -> str:
    """The message for a word outside a closed list, with the nearest word if one is near."""
    near = get_close_matches(str(value), allowed, n=1, cutoff=0.65)
    hint = f", did you mean {near[0]}?" if near else ""
    subject = f"unknown {what}" if what else f"{shown(value)} is not one of the choices"
    return f"{subject}{hint} (allowed: {', '.join(allowed)})"


def shown(value: object) -> str:
    """A value in a message: short, and naming its kind where the kind is what is wrong."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {_cut(repr(value))}"
    if isinstance(value, (int, float)):
        return f"the number {_cut(str(value))}"
    if isinstance(value, (list, tuple)):
        return "a list"
    return "a mapping" if isinstance(value, dict) else f"a {type(value).__name__}"


def _cut(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"

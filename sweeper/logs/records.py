"""What one line or object of a log says: names with cells, and which of them play which role."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from functools import lru_cache

from sweeper.logs.names import meaning_of
from sweeper.logs.values import Cell

COUNTED = "(counted)"
"""The name of steps that no line names."""

STEP_AND = frozenset(
    {"train_loss", "val_loss", "grad_norm", "learning_rate", "loss_scale", "step_seconds"}
)
"""Roles of which one makes a point, together with a step."""

LOSSES = frozenset({"train_loss", "val_loss"})


def flat_record(value: dict[str, object], prefix: str = "") -> dict[str, Cell]:
    """The numbers and texts of a nested object, names joined by `/`; lists are left out."""
    record: dict[str, Cell] = {}
    for key, item in value.items():
        if isinstance(item, dict):
            record.update(flat_record(item, f"{prefix}{key}/"))
        elif isinstance(item, bool):
            continue
        elif item is None or isinstance(item, (int, float, str)):
            record[f"{prefix}{key}"] = item
    return record


def has_role(names: Iterable[str], roles: Set[str]) -> bool:
    """Whether one of the names plays one of the roles."""
    return not _roles_of(tuple(names)).isdisjoint(roles)


@lru_cache(maxsize=4096)
def _roles_of(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(meaning.role for name in names if (meaning := meaning_of(name)))


@lru_cache(maxsize=4096)
def names_in_role(names: tuple[str, ...], role: str) -> tuple[str, ...]:
    """The names in a role, the plainest first."""
    found = [
        (meaning.rank, name)
        for name in names
        if (meaning := meaning_of(name)) and meaning.role == role
    ]
    return tuple(name for _, name in sorted(found))


def number_of(record: Mapping[str, Cell], role: str) -> float | None:
    """The number in a role, by the plainest of its names; None where there is none."""
    for name in names_in_role(tuple(record), role):
        cell = record[name]
        if cell not in (None, "") and is_number(text := str(cell)):
            return float(text.replace(",", ""))
    return None


def is_number(cell: str) -> bool:
    """Whether a cell of a row is a number, or says that nothing was logged."""
    if not cell or cell.lower() in ("null", "none", "na", "no log"):
        return True
    try:
        float(cell.replace(",", ""))
    except ValueError:
        return False
    return True

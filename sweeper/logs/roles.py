"""Which column of a log plays which role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sweeper.errors import LogError
from sweeper.logs.log import LogOptions
from sweeper.logs.names import ROLES, Meaning, meaning_of
from sweeper.logs.times import UNITS

BY_NAME, BY_FLAG = "by name", "by flag"
READINGS = ("per-step", "cumulative")
_SPARSE = 2  # a plainer name gives way to one that was logged more than so many times as often


@dataclass(frozen=True)
class Role:
    """A column in its role."""

    name: str
    meaning: Meaning
    basis: str


def check_options(options: LogOptions) -> None:
    """Refuse roles and units that do not exist.

    Raises:
        LogError: With what is allowed.
    """
    for flag, given in (("--column", options.columns), ("--unit", options.units)):
        for role in given:
            if role not in ROLES:
                raise LogError(f"{flag} {role}: no such role (allowed: {', '.join(ROLES)})")
    for role, unit in options.units.items():
        if unit not in (*UNITS, "nats", "bits"):
            raise LogError(
                f"--unit {role}={unit}: no such unit (allowed: {', '.join(UNITS)}; for losses "
                "nats, bits)"
            )
    if options.time is not None and options.time not in READINGS:
        raise LogError(f"--time {options.time}: no such reading (allowed: {', '.join(READINGS)})")


def assign_roles(
    source: str, counts: Mapping[str, int], options: LogOptions
) -> dict[str, tuple[Role, ...]]:
    """The columns of each role, the one to use first.

    Args:
        source: The log's name, for messages.
        counts: Column names with how many values each has.
        options: What the user says about columns.

    Raises:
        LogError: A column that was asked for is not there.
    """
    candidates: dict[str, list[Role]] = {}
    claimed = {_claimed(source, role, name, counts): role for role, name in options.columns.items()}
    for name, role in claimed.items():
        meaning = meaning_of(name)
        same = meaning if meaning is not None and meaning.role == role else Meaning(role, 0)
        candidates[role] = [Role(name, same, BY_FLAG)]
    for name in counts:
        meaning = meaning_of(name)
        if name in claimed or meaning is None or meaning.role in options.columns:
            continue
        if counts[name]:
            candidates.setdefault(meaning.role, []).append(Role(name, meaning, BY_NAME))
    return {role: _best_first(found, counts) for role, found in candidates.items()}


def _claimed(source: str, role: str, name: str, counts: Mapping[str, int]) -> str:
    matches = [there for there in counts if there == name] or [
        there for there in counts if there.strip().lower() == name.strip().lower()
    ]
    if not matches:
        raise LogError(
            f"{source}: --column {role}={name}: there is no such column (it has "
            f"{', '.join(counts) or 'none'})"
        )
    return matches[0]


def _best_first(found: Sequence[Role], counts: Mapping[str, int]) -> tuple[Role, ...]:
    ordered = sorted(found, key=lambda role: role.meaning.rank)
    most = max(counts.get(role.name, 0) for role in ordered)
    best = next(role for role in ordered if counts.get(role.name, 0) * _SPARSE >= most)
    return (best, *(role for role in ordered if role is not best))

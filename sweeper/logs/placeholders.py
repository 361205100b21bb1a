"""Numbers that stand in a log although nothing was measured there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise

_FEWEST = 3
_EVEN = 1  # rows by which intervals of evaluation may differ

Column = list[float | None]


def drop_placeholders(columns: Mapping[str, Column]) -> tuple[dict[str, Column], list[str]]:
    """The losses that were measured, of columns that fill the rows between with something.

    Programs write NaN into the rows without an evaluation, or the last validation loss again and
    again. Taken as they stand, the one is a run that breaks down and the other one that repeats
    itself.

    Returns:
        The columns that change, and a note for each.
    """
    train, val = columns.get("train_loss"), columns.get("val_loss")
    changed: dict[str, Column] = {}
    notes: list[str] = []
    if train is not None and val is not None and _alternate(train, val):
        changed = {"train_loss": _without_nan(train), "val_loss": _without_nan(val)}
    elif val is not None and _is_nan_between(val):
        changed = {"val_loss": _without_nan(val)}
    if changed:
        notes.append("nan in the rows without an evaluation was read as nothing logged")
    elif train is not None and val is not None and (firsts := _carried(val)):
        changed = {"val_loss": [v if row in firsts else None for row, v in enumerate(val)]}
        notes.append(
            f"the validation loss stands in {len(val) - val.count(None)} rows and changes only "
            f"every so many: each of its {len(firsts)} values counts where it first stands"
        )
    return changed, notes


def _without_nan(values: Column) -> Column:
    return [None if value is None or value != value else value for value in values]


def _alternate(train: Column, val: Column) -> bool:
    """Whether each row has exactly one of the two, and NaN for the other."""
    pairs = [(a, b) for a, b in zip(train, val, strict=True) if a is not None or b is not None]
    if any(a is None or b is None or math.isnan(a) == math.isnan(b) for a, b in pairs):
        return False
    return (
        sum(math.isnan(a) for a, _ in pairs if a is not None) >= _FEWEST
        and sum(math.isnan(b) for _, b in pairs if b is not None) >= _FEWEST
    )


def _is_nan_between(values: Column) -> bool:
    """Whether NaN fills the gaps of numbers that stand in even distances."""
    logged = [value for value in values if value is not None]
    rows = [row for row, value in enumerate(logged) if not math.isnan(value)]
    gaps = {b - a for a, b in pairwise(rows)}
    if len(rows) < _FEWEST or len(gaps) != 1:
        return False
    gap = gaps.pop()
    return gap > 1 and rows[0] < gap and len(logged) - rows[-1] <= gap


def _differ_by_rounding(values: Sequence[float | None]) -> bool:
    """Whether neighbours differ by one in the last place: a slow course, shown with few digits."""
    numbers = [value for value in values if value is not None and math.isfinite(value)]
    last_place = 0.1 ** max((len(repr(x).partition(".")[2]) for x in numbers), default=0)
    return all(abs(b - a) < 1.5 * last_place for a, b in pairwise(numbers))


def _carried(values: Sequence[float | None]) -> set[int]:
    """Rows at which a value is new, where others repeat it in even stretches; else none."""
    logged = [(row, value) for row, value in enumerate(values) if value is not None]
    stretches = [[row for row, _ in group] for _, group in groupby(logged, key=lambda at: at[1])]
    if len(stretches) < _FEWEST:
        return set()
    lengths = [len(stretch) for stretch in stretches]
    inner = lengths[1:-1]
    longest = max(inner)
    if min(inner) < max(_FEWEST, longest - _EVEN) or max(lengths) > longest + _EVEN:
        return set()
    if _differ_by_rounding([values[stretch[0]] for stretch in stretches]):
        return set()
    return {stretch[0] for stretch in stretches}

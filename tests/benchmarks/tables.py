"""The report's tables, in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence

from tests.benchmarks.verdicts import (
    Content,
    Equality,
    Verdict,
    equality,
    losses_of,
    ratio,
    seconds_of,
)

_MEASURES = (
    ("wall s", "net_s"),
    ("CPU s", "cpu_s"),
    ("with imports s", "wall_s"),
    ("with workers' start s", "inclusive_s"),
    ("command to exit s", "process.wall_s"),
    ("its CPU s", "process.cpu_s"),
)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others are numbers."""
    lines = [
        "| " + " | ".join(head) + " |",
        "|" + "|".join(["---", *["---:"] * (len(head) - 1)]) + "|",
    ]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def verdict_table(found: Sequence[Verdict], *, is_quick: bool) -> str:
    """What was asked, measured, floor, aim, verdict."""
    head = ("what", "measured", "least to most", "floor", "aim", "verdict")
    rows = [
        (
            verdict.what,
            "-" if verdict.value is None else _shown(verdict.value, verdict),
            "-" if verdict.spread is None else _range(verdict),
            _bound(verdict.floor, verdict),
            _bound(verdict.aim, verdict),
            _word(verdict, is_quick=is_quick),
        )
        for verdict in found
    ]
    return table(head, rows)


def _word(verdict: Verdict, *, is_quick: bool) -> str:
    if verdict.undecided:
        return f"{verdict.word}: {verdict.undecided}"
    return "quick run: not judged" if is_quick else verdict.word


def _shown(value: float, verdict: Verdict) -> str:
    match verdict.unit:
        case "%":
            return f"{value:.2%}"
        case "ms":
            return f"{value:.1f} ms"
    return f"{value:.2f}x"


def _range(verdict: Verdict) -> str:
    assert verdict.spread is not None, "asked where there is one"
    return " to ".join(_shown(value, verdict) for value in verdict.spread)


def _bound(value: float, verdict: Verdict) -> str:
    sign = "≤" if verdict.at_most else "≥"
    match verdict.unit:
        case "%":
            return f"{sign} {value * 100:g} %"
        case "ms":
            return f"{sign} {value:g} ms"
    return f"{sign} {value:.2g}x"


def arm_table(part: Content) -> str:
    """Medians, least and most, of every arm of a size."""
    head = ("arm", *(name for name, _ in _MEASURES), "workers' start s", "in training s", "others")
    rows = [
        (
            arm,
            *(_seconds(seconds_of(part, arm, key)) for _, key in _MEASURES),
            f"{statistics.median(seconds_of(part, arm, 'start_s')):.1f}",
            f"{statistics.median(_training_s(part, arm)):.1f}",
            f"{statistics.median(seconds_of(part, arm, 'process.others_cpus')):.2f}",
        )
        for arm in part["runs"]
    ]
    return table(head, rows)


def _training_s(part: Content, arm: str) -> list[float]:
    return [sum(trial["training_s"] for trial in run["trials"]) for run in part["runs"][arm]]


def _seconds(values: Sequence[float]) -> str:
    middle = f"{statistics.median(values):.1f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.1f} to {max(values):.1f})"


def ratio_table(part: Content) -> str:
    """B0 and B1 over ours, by each clock."""
    slower = [arm for arm in ("B0", "B1") if arm in part["runs"]]
    faster = [arm for arm in part["runs"] if arm.startswith("ours")]
    head = ("ratio", *(name for name, _ in _MEASURES))
    rows = [
        (
            f"{slow} / {fast}",
            *(f"{ratio(part, slow, fast, key)[0]:.2f}x" for _, key in _MEASURES),
        )
        for slow in slower
        for fast in faster
    ]
    return table(head, rows)


def equality_table(parts: Mapping[str, Content]) -> str:
    """One line for every size and arm: equal or not."""
    head = ("size, arm against B0", "trials beyond", "largest within", "best trial", "verdict")
    rows = [
        (f"{name}, {arm}", *_equality_row(equality(part, arm)))
        for name, part in parts.items()
        for arm in part["runs"]
        if arm != "B0"
    ]
    return table(head, rows)


def _equality_row(found: Equality) -> tuple[str, ...]:
    return (
        f"{len(found.differing)} (> {found.tolerance:g} nats)",
        "-" if found.largest is None else f"{found.largest:.1e}",
        _best(found),
        found.word,
    )


def _best(found: Equality) -> str:
    reference, other, as_computed = found.best
    known = f"{_number(reference)} / {_number(other)}"
    return known if as_computed == reference else f"{known} (in bf16: {_number(as_computed)})"


def _number(number: int | None) -> str:
    return "none" if number is None else str(number)


def unstable_list(parts: Mapping[str, Content]) -> list[str]:
    """Every trial beyond the tolerance, with B0's own reruns."""
    return [
        f"{name}, {arm}, trial {found.number}: B0 {_loss(found.reference)}, {arm} "
        f"{_loss(found.other)}; B0 again {_again(found.reruns)}: "
        + ("unstable" if found.is_unstable else "STABLE")
        + (", within its spread" if found.is_within else ", BEYOND its spread")
        for name, part in parts.items()
        for arm in part["runs"]
        if arm != "B0"
        for found in equality(part, arm).differing
    ]


def _again(reruns: Sequence[float | None]) -> str:
    known = sorted(loss for loss in reruns if loss is not None)
    if len(known) < len(reruns):
        return f"{len(reruns)} times, {len(reruns) - len(known)} of them no number"
    if not known:
        return "not run"
    middle = f"median {statistics.median(known):.4f}"
    return f"{len(known)} times, {known[0]:.4f} to {known[-1]:.4f}, {middle}"


def _loss(loss: float | None) -> str:
    return "no number" if loss is None else f"{loss:.4f}"


def trial_table(part: Content) -> str:
    """Every trial's recipe and its final loss in every arm."""
    arms = list(part["runs"])
    head = ("trial", "rate", "block", "batch", "accumulation", "schedule", "rank", *arms)
    losses = {arm: losses_of(part, arm) for arm in arms}
    rows = [
        (
            str(number),
            f"{recipe['learning_rate']:g}",
            *(str(recipe[n]) for n in ("block_size", "batch_size", "accumulation", "schedule")),
            str(recipe["rank"]),
            *(_loss(losses[arm][number]) for arm in arms),
        )
        for number, recipe in enumerate(part["recipes"])
    ]
    return table(head, rows)

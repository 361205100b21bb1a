"""A log as it was read: its curve, how each column was understood, and what was odd."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sweeper.curves import Curve


@dataclass(frozen=True)
class LogOptions:
    """What the person at the terminal knows better than any guess.

    Attributes:
        format: One of `sweeper.logs.FORMATS`, or None to find out.
        columns: Role to the log's own name, such as `{"train_loss": "loss/train"}`.
        units: Role to unit, such as `{"step_seconds": "ms"}`.
        time: `per-step` or `cumulative`; None to find out.
        pattern: A regular expression with named groups (`step`, `train_loss`, ...)
            for lines of a make of its own.
        run: Which of several runs in the file: its name, or its place from 1.
    """

    format: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    time: str | None = None
    pattern: str | None = None
    run: str | None = None


GUESS_ALL = LogOptions()


@dataclass(frozen=True)
class ColumnUse:
    """How one column was understood.

    Attributes:
        name: As the log calls it.
        role: A field of `sweeper.curves.Point`; empty where it was not used.
        unit: What its numbers are in: `nats`, `ms`, `s`, `steps/s`, `tokens/s`, ...
        reading: `per step`, `cumulative`, `running mean`; empty where time is not meant.
        basis: Why it was understood so, in a few words: `by name`, `by flag`,
            `falls never, so cumulative`.
    """

    name: str
    role: str
    unit: str = ""
    reading: str = ""
    basis: str = ""


@dataclass(frozen=True)
class Log:
    """One run out of a log.

    Attributes:
        source: The log as the user named it, without a machine's own path.
        format: What it turned out to be, in words: `CSV`, `nanoGPT text`, ...
        curve: Its points in the order of their steps, no step twice.
        columns: How its columns were understood, in the log's order.
        notes: What was odd and what was made of it, a sentence each, with line numbers: a resumed
            run, a cut-off last line, steps out of order.
        restart_steps: Steps at which a resumed run took up again.
        runs: Names of all runs in the file; the curve is one of them.
        run: The name of this one; empty where the file holds only one.
        settings: Hyperparameters that the log itself prints, by the log's own names.
    """

    source: str
    format: str
    curve: Curve
    columns: tuple[ColumnUse, ...] = ()
    notes: tuple[str, ...] = ()
    restart_steps: tuple[int, ...] = ()
    runs: tuple[str, ...] = ()
    run: str = ""
    settings: Mapping[str, object] = field(default_factory=dict)

"""What the study's storage says of a trial's archives, and of how far the trial is.

The trial's attribute `artifact` is written under the study's lock by the worker that holds the
trial, or has ended it, so a worker that lost its trial cannot put an older state in the place of a
newer one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from optuna.trial import FrozenTrial

from sweeper.curves import Point
from sweeper.search import attributes as attrs
from sweeper.search.storage import newest_point, trial_folder
from sweeper.study import StudySpec
from sweeper.training.lost import Lost, read_lost

_ARCHIVE_NAME = re.compile(r"\d{4,12}-[0-9a-f]{32}\.tar")


@dataclass(frozen=True)
class Archive:
    """One archive, and what it must be like.

    Attributes:
        name: In the place; never used again for another.
        sha256: Hexadecimal.
        size: In bytes.
        step: Of the newest checkpoint in it; -1 without one.
    """

    name: str
    sha256: str
    size: int
    step: int


@dataclass(frozen=True)
class Record:
    """A trial as its last holder left it.

    Attributes:
        owner: The holder's.
        archives: The newest first; the one before it, in case that is damaged.
        is_final: Whether the newest is that of the trial's end.
        step: Of the newest point of the curve.
        tokens: There.
        seconds: There, of training.
        lost: What earlier attempts had trained and lost by then.
        last_words: Of a worker that died while training it.
        announced: Names of archives that may be in the place, halfway there or still, and are none
            of these: whoever sends the next removes them.
    """

    owner: str
    archives: tuple[Archive, ...] = ()
    is_final: bool = False
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    lost: Lost = field(default_factory=Lost)
    last_words: str = ""
    announced: tuple[str, ...] = ()

    @classmethod
    def of(cls, trial: FrozenTrial) -> Record | None:
        """What the storage says; None where nobody has trained the trial, or it cannot be read."""
        return cls.read(trial.user_attrs.get(attrs.ARTIFACT))

    @classmethod
    def read(cls, plain: Mapping[str, Any] | None) -> Record | None:
        """The record in a trial's attribute; None where there is none that can be understood."""
        try:
            parts = dict(plain or {})
            archives = tuple(Archive(**archive) for archive in parts.pop("archives"))
            own = {"archives": archives, "announced": tuple(parts.get("announced", ()))}
            record = cls(**parts | own | {"lost": Lost(**parts["lost"])})
        except (KeyError, TypeError, ValueError):
            return None
        names = [*(archive.name for archive in archives), *record.announced]
        return record if all(_ARCHIVE_NAME.fullmatch(str(name)) for name in names) else None

    def as_dict(self) -> dict[str, Any]:
        """The form of the trial's attribute."""
        return {**asdict(self), "archives": [asdict(archive) for archive in self.archives]}

    @property
    def newest(self) -> Archive | None:
        """The newest archive."""
        return next(iter(self.archives), None)

    @property
    def point(self) -> Point:
        """The newest point that its holder told of, without losses."""
        return Point(self.step, self.tokens, seconds=self.seconds)


def known_point(spec: StudySpec, trial: FrozenTrial) -> Point | None:
    """How far a trial has come, by its folder here or by its record, whichever says more."""
    here, record = newest_point(spec, trial.number), Record.of(trial)
    told = record.point if record is not None and record.tokens else None
    points = [point for point in (here, told) if point is not None]
    return max(points, key=lambda point: point.tokens, default=None)


def known_lost(spec: StudySpec, trial: FrozenTrial) -> Lost:
    """What a trial's attempts have lost, likewise."""
    here, record = read_lost(trial_folder(spec, trial.number)), Record.of(trial)
    return max(here, record.lost if record else here, key=lambda lost: lost.tokens)


def newest_record(trial: FrozenTrial, study: Mapping[str, Any]) -> Record | None:
    """A trial's record, by the attributes of its study where that came after its end."""
    return Record.read(study.get(f"{attrs.LATE_ARTIFACT}{trial.number}")) or Record.of(trial)


def told_words(trial: FrozenTrial) -> str:
    """The last words of a worker elsewhere that died while training a trial; empty without."""
    record = Record.of(trial)
    return "" if record is None else record.last_words

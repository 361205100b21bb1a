"""What a fault did, for the summary."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.faults.invariants import Examination


@dataclass
class Tally:
    """What a fault did to how many studies.

    Attributes:
        strikes: How often it happened.
        studies: How many studies it happened to; each was held against the rules.
        trials: How many trials these had, by how they ended.
    """

    strikes: int = 0
    studies: int = 0
    trials: Counter[str] = field(default_factory=Counter)


def hold(tally: Tally, examination: Examination) -> None:
    """Hold a study against the rules, and count it.

    Raises:
        AssertionError: One is broken.
    """
    broken = examination.broken()
    assert not broken, "\n".join(broken)
    tally.studies += 1
    tally.trials.update(trial.state.name.lower() for trial in examination.trials)

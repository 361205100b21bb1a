"""How long the run was, or was to be."""

from __future__ import annotations

from sweeper.diagnosis.case import Case


def length_of(case: Case) -> tuple[int, str]:
    """Optimizer steps of the run, 1 or more, and whose word that is: `the run's`, `the log's`."""
    total = case.config.number("total_steps")
    if total is not None and total >= 1:
        return int(total), "the run's"
    last = max((point.step for point in case.curve), default=0)
    return max(last, 1), "the log's"

"""One look of a plan of other seeds, as far as its study has come."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sweeper.curves import StopReason
from sweeper.search import attributes as attrs
from sweeper.search.outcomes import tokens_paid
from sweeper.search.progress import stop_reason_of
from sweeper.search.storage import has_begun, tokens_so_far
from sweeper.search.store import StudyStore
from sweeper.search.verifying.verification import Plan, look_recipes, look_study
from sweeper.search.workers.timesheets import worker_seconds
from sweeper.study import StudySpec

LossOf = Mapping[tuple[str, int], float]


@dataclass(frozen=True)
class Look:
    """What a look has trained, and what that has cost.

    Attributes:
        number: Of the look, from 0; None for the ablation.
        keys: Of the arms that it trains beside the baseline, or of the ablation's variants.
        num_trials: That it takes.
        num_ended: Of these, however they ended.
        losses: Final validation losses in nats by arm and seed, infinite where a run diverged;
            a run that failed has none.
        tokens: That its trials have trained on so far, those lost to a crash included.
        wall_clock_s: Seconds for which its study was at work.
        worker_s: Seconds at work of its workers.
    """

    number: int | None
    keys: tuple[str, ...]
    num_trials: int
    num_ended: int
    losses: LossOf
    tokens: int
    wall_clock_s: float
    worker_s: float = 0.0

    @property
    def is_over(self) -> bool:
        """Whether all its trials have ended."""
        return self.num_ended == self.num_trials


def read_look(spec: StudySpec, plan: Plan, number: int | None, keys: Sequence[str]) -> Look:
    """A look as it stands, begun or not.

    Args:
        spec: The study that is verified.
        plan: Its plan.
        number: Number of the look, from 0; None for the ablation.
        keys: Of the arms that are not decided before it, or of the variants.

    Raises:
        StorageError: Its study cannot be read.
    """
    recipes = look_recipes(spec, plan, number, keys)
    study = look_study(spec, plan, number, keys)
    if not has_begun(study):
        return Look(number, tuple(keys), len(recipes), 0, {}, 0, 0.0)
    store = StudyStore(study, create=False)
    losses: dict[tuple[str, int], float] = {}
    num_ended, tokens = 0, 0
    for trial, (key, seed, _) in zip(store.trials(), recipes, strict=False):
        if not trial.state.is_finished():
            tokens += tokens_so_far(study, trial.number)
            continue
        values = trial.user_attrs
        num_ended += 1
        tokens += tokens_paid(values)
        reason, loss = stop_reason_of(trial), values.get(attrs.VAL_LOSS)
        if reason is StopReason.NON_FINITE:
            losses[key, seed] = math.inf
        elif reason is StopReason.COMPLETED and loss is not None:
            losses[key, seed] = loss
    wall_clock_s = float(store.study.user_attrs.get(attrs.SECONDS_SPENT, 0.0))
    worker_s = worker_seconds(study)
    return Look(
        number, tuple(keys), len(recipes), num_ended, losses, tokens, wall_clock_s, worker_s
    )

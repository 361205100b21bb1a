"""Syne Tune's schedulers as the comparison runs them, every option that matters written out.

Not among them: ASHA by promotion, Hyperband and DyHPO, which version 0.16 has no more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from syne_tune import config_space
from syne_tune.optimizer import baselines
from syne_tune.optimizer.scheduler import SchedulerDecision, TrialScheduler
from syne_tune.optimizer.schedulers.median_stopping_rule import MedianStoppingRule
from syne_tune.optimizer.schedulers.pbt import PopulationBasedTraining

from sweeper.search.replay.contest import Terms
from sweeper.study import StudySpec
from sweeper.study.space import Range
from tests.benchmarks.syne_table import METRIC, RESOURCE

Space = dict[str, Any]
NewScheduler = Callable[[Space, Terms, int], TrialScheduler]


@dataclass(frozen=True)
class Rule:
    """What is compared.

    Attributes:
        sampler: What draws.
        name: What tables call it.
        new: Makes the scheduler for a space, the terms and a seed.
        early: Whether trials are evaluated at the bank's early rungs too.
        learns: Whether the sampler fits a model: 10 seconds a study and more, else half a second.
    """

    sampler: str
    name: str
    new: NewScheduler
    early: bool = False
    learns: bool = False


def space_of(spec: StudySpec) -> Space:
    """The study's space in Syne Tune's terms."""
    return {name: _domain_of(dimension) for name, dimension in spec.space.items()}


def _domain_of(dimension: Any) -> Any:
    if not isinstance(dimension, Range):
        return config_space.choice(list(dimension.values))
    if dimension.step is not None or isinstance(dimension.low, int):
        raise ValueError("only lists and continuous ranges are translated")
    new = config_space.loguniform if dimension.log else config_space.uniform
    return new(dimension.low, dimension.high)


class SparesBaseline:
    """Mixed into a scheduler: the first trial, the baseline, is never ended early."""

    def on_trial_result(self, trial: Any, result: dict[str, Any]) -> str:
        """See Syne Tune's own."""
        decision: str = super().on_trial_result(trial, result)  # type: ignore[misc]
        return SchedulerDecision.CONTINUE if trial.trial_id == 0 else decision


class ASHA(SparesBaseline, baselines.ASHA):
    """The stopping form; version 0.16 has no promotion any more."""


class ASHABORE(SparesBaseline, baselines.ASHABORE):
    """ASHA whose draws learn by density ratios."""


class ASHACQR(SparesBaseline, baselines.ASHACQR):
    """ASHA whose draws learn by conformal quantiles."""


class BOHB(SparesBaseline, baselines.BOHB):
    """ASHA whose draws learn by kernel densities, from the fortieth trial on."""


class Median(SparesBaseline, MedianStoppingRule):
    """The median rule over random draws."""

    def metric_names(self) -> list[str]:
        """As a list: Syne Tune's own answers with the bare name, which its tuner takes apart."""
        return [self.metric]


def _random(space: Space, terms: Terms, seed: int) -> TrialScheduler:
    return baselines.RandomSearch(
        space, metrics=[METRIC], random_seed=seed, points_to_evaluate=[_baseline(space, terms)]
    )


def _median(space: Space, terms: Terms, seed: int) -> TrialScheduler:
    return Median(
        _random(space, terms, seed),
        time_attr=RESOURCE,
        metric=METRIC,
        grace_time=_first_rung(terms),
        random_seed=seed,
    )


def _halving(new: Any, brackets: int = 1) -> NewScheduler:
    def scheduler(space: Space, terms: Terms, seed: int) -> TrialScheduler:
        return new(
            space,
            metric=METRIC,
            time_attr=RESOURCE,
            max_t=terms.bank.tokens_per_trial,
            grace_period=_first_rung(terms),
            brackets=brackets,
            random_seed=seed,
            points_to_evaluate=[_baseline(space, terms)],
        )

    return scheduler


def _pbt(space: Space, terms: Terms, seed: int) -> TrialScheduler:
    return PopulationBasedTraining(
        space,
        metric=METRIC,
        time_attr=RESOURCE,
        max_t=terms.bank.tokens_per_trial,
        perturbation_interval=terms.bank.rungs.every_tokens,
        random_seed=seed,
    )


def _botorch(space: Space, terms: Terms, seed: int) -> TrialScheduler:
    return baselines.BOTorch(space, metric=METRIC, random_seed=seed)


def _first_rung(terms: Terms) -> int:
    return terms.bank.rungs.within(terms.bank.tokens_per_trial)[0]


def _baseline(space: Space, terms: Terms) -> dict[str, Any]:
    values = terms.spec.baseline.hyperparameters.model_dump()
    return {name: values[name] for name in space}


RULES = (
    Rule("random", "no pruning", _random),
    Rule("random", "median", _median),
    Rule("random", "median, early rungs", _median, early=True),
    Rule("random", "ASHA", _halving(ASHA)),
    Rule("random", "ASHA, early rungs", _halving(ASHA), early=True),
    Rule("random", "ASHA, two brackets, early rungs", _halving(ASHA, brackets=2), early=True),
    Rule("KDE", "ASHA (BOHB), early rungs", _halving(BOHB), early=True),
    Rule("BORE", "ASHA, early rungs", _halving(ASHABORE), early=True, learns=True),
    Rule("CQR", "ASHA, early rungs", _halving(ASHACQR), early=True, learns=True),
)
# What cannot run here: the page says why, in its own error's words.
UNSUITED = (
    Rule("random", "population based training, on from another trial's checkpoint", _pbt),
    Rule("BoTorch", "no pruning", _botorch),
)

"""Optuna's samplers, every option written out, and drawn anew for every trial number."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from sweeper.study import StudySpec

_CANDIDATES = 24


def new_sampler(
    spec: StudySpec, distributions: Mapping[str, BaseDistribution], num_fixed: int
) -> BaseSampler:
    """The study's sampler; its random start comes after the fixed trials, not instead.

    What trial n draws depends on the study's seed, n, and the ended trials that
    it can see, not on which worker asks, nor on how often the study was resumed.

    Args:
        spec: The study.
        distributions: Its space.
        num_fixed: Fixed trials that the sampler is shown.
    """
    name = spec.search.sampler

    def with_seed(seed: int) -> BaseSampler:
        return _new(name, seed, spec.search.startup_trials + num_fixed, distributions)

    if name == "qmc":  # it numbers its draws in the storage; another seed is another sequence
        return with_seed(spec.seed)
    if name == "grid":  # its order is one shuffle, by the study's seed
        return NumberedSampler(lambda _: with_seed(spec.seed), spec.seed)
    return NumberedSampler(with_seed, spec.seed)


def _new(
    name: str, seed: int, startup_trials: int, distributions: Mapping[str, BaseDistribution]
) -> BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match name:
            case "random" | "list":  # a list's trials are enqueued; nothing is left to draw
                return optuna.samplers.RandomSampler(seed=seed)
            case "grid":
                return optuna.samplers.GridSampler(
                    {key: grid_values(dist) for key, dist in distributions.items()}, seed=seed
                )
            case "qmc":
                return optuna.samplers.QMCSampler(
                    qmc_type="sobol",
                    scramble=True,
                    seed=seed,
                    independent_sampler=new_random(seed),
                    warn_asynchronous_seeding=False,
                    warn_independent_sampling=False,
                )
            case "cmaes":
                return optuna.samplers.CmaEsSampler(
                    x0=None,
                    sigma0=None,
                    n_startup_trials=startup_trials,
                    independent_sampler=new_random(seed),
                    warn_independent_sampling=False,
                    seed=seed,
                    consider_pruned_trials=True,
                    popsize=None,
                    use_separable_cma=False,
                    with_margin=False,
                    lr_adapt=False,
                    source_trials=None,
                )
            case "gp":
                return optuna.samplers.GPSampler(
                    seed=seed,
                    independent_sampler=new_random(seed),
                    n_startup_trials=startup_trials,
                    deterministic_objective=False,
                    warn_independent_sampling=False,
                )
            case _:
                return optuna.samplers.TPESampler(
                    n_startup_trials=startup_trials,
                    n_ei_candidates=_CANDIDATES,
                    seed=seed,
                    multivariate=True,
                    group=False,
                    constant_liar=True,
                )


def new_random(seed: int) -> BaseSampler:
    """For what a sampler leaves to chance: numbered, so that no two workers draw the same."""
    return NumberedSampler(lambda numbered: optuna.samplers.RandomSampler(seed=numbered), seed)


def grid_values(distribution: BaseDistribution) -> list[Any]:
    """All values of a dimension that can be counted: a list, or a stepped range."""
    if isinstance(distribution, optuna.distributions.CategoricalDistribution):
        return list(distribution.choices)
    assert isinstance(
        distribution,
        optuna.distributions.IntDistribution | optuna.distributions.FloatDistribution,
    )
    step = distribution.step
    assert step is not None, "the study file's check lets only stepped ranges into a grid"
    # The decimals that are written, so that three steps of 0.1 are 0.3.
    low, high, width = (Decimal(str(x)) for x in (distribution.low, distribution.high, step))
    kind = type(distribution.low)
    return [kind(low + i * width) for i in range(int((high - low) / width) + 1)]


class NumberedSampler(BaseSampler):
    """Gives every trial number a sampler of its own, seeded by the study's seed and the number.

    Args:
        with_seed: Makes a sampler.
        seed: The study's.
    """

    def __init__(self, with_seed: Callable[[int], BaseSampler], seed: int) -> None:
        self._with_seed = with_seed
        self._seed = seed
        self._current: tuple[int, BaseSampler] | None = None

    def _of(self, trial: FrozenTrial) -> BaseSampler:
        if self._current is None or self._current[0] != trial.number:
            state = np.random.SeedSequence([self._seed, trial.number]).generate_state(1)
            self._current = trial.number, self._with_seed(int(state[0]))
        return self._current[1]

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """See optuna's BaseSampler."""
        self._of(trial).before_trial(study, trial)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """See optuna's BaseSampler."""
        return self._of(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """See optuna's BaseSampler."""
        return self._of(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """See optuna's BaseSampler."""
        return self._of(trial).sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """See optuna's BaseSampler."""
        sampler = self._of(trial)
        if not isinstance(sampler, optuna.samplers.GridSampler):
            sampler.after_trial(study, trial, state, values)
        # An exhausted grid would stop `optimize`, which nobody called; the budget counts instead.

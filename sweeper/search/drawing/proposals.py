"""Draws whole recipes from a sampler until one is worth a trial."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from sweeper.search.drawing.experiments import nudged
from sweeper.search.drawing.history import study_as_shown, with_bad_losses, with_violations
from sweeper.search.drawing.prior import draw_rate
from sweeper.search.drawing.samplers import new_random, new_sampler
from sweeper.search.drawing.space import distributions_of
from sweeper.study import StudySpec

DRAWS = {"gp": 1}  # of a sampler that proposes one and the same until it learns more
MOST_DRAWS = 8  # of any other
NUDGES = 8  # of the last of these
RANDOM_DRAWS = 32  # where nothing near it can be tried

Params = dict[str, Any]
# What to train for what was drawn by the trial of a number; None: nothing, draw again.
Admit = Callable[[Params, int], Params | None]

_SHOWN = {"tpe": with_violations, "gp": with_bad_losses, "cmaes": with_bad_losses}


@dataclass(frozen=True)
class Rules:
    """What a proposal has to keep to.

    Attributes:
        admit: Judges a whole recipe, and may mend it.
        spare: A recipe that would be admitted, where draws alone find none; None: there is none,
            or the space has no end.
        earlier: Trials of another study, which the sampler is shown before this one's.
    """

    admit: Admit
    spare: Callable[[int], Params | None]
    earlier: Callable[[], Sequence[FrozenTrial]] = tuple


def new_proposer(
    spec: StudySpec, storage: BaseStorage, rules: Rules, fixed: Sequence[Mapping[str, Any]]
) -> BaseSampler:
    """The study's sampler, held to the rules; a grid and a list are prescribed and held to none.

    Args:
        spec: The study.
        storage: Where it is stored.
        rules: What a proposal has to keep to.
        fixed: Parameters in the space of each prescribed trial.
    """
    distributions = distributions_of(spec)
    if spec.search.sampler in ("grid", "list"):
        return new_sampler(spec, distributions, len(fixed))
    joint = {name: d for name, d in distributions.items() if not spec.conditions_of(name)}
    num_fixed = sum(joint.keys() <= params.keys() for params in fixed)
    sampler = new_sampler(spec, distributions, num_fixed)
    num_random = spec.search.startup_trials + num_fixed
    return ProposingSampler(spec, storage, sampler, rules, num_random)


class ProposingSampler(BaseSampler):
    """Chooses all parameters of a trial at once.

    The sampler that learns is shown the trials in a form of its own (`history`), and without
    those that lack a parameter, which would otherwise be drawn apart from the others, or at
    random for good. Parameters under a condition are drawn after all others, where it holds: by
    TPE from the trials that have them, by other samplers at random.

    Args:
        spec: The study.
        storage: Where it is stored.
        sampler: Draws.
        rules: What a proposal has to keep to.
        num_random: Ended trials from which on the sampler learns.
    """

    def __init__(
        self,
        spec: StudySpec,
        storage: BaseStorage,
        sampler: BaseSampler,
        rules: Rules,
        num_random: int,
    ) -> None:
        self._spec = spec
        self._storage = storage
        self._sampler = sampler
        self._random = new_random(spec.seed)
        self._rules = rules
        self._num_random = num_random
        self._space = distributions_of(spec)
        self._required = {name for name in self._space if not spec.conditions_of(name)}
        self._joint = {
            name: dist
            for name, dist in self._space.items()
            if name in self._required and not dist.single() and self._is_drawn_jointly(dist)
        }

    def _is_drawn_jointly(self, distribution: BaseDistribution) -> bool:
        match self._spec.search.sampler:
            case "random":
                return False
            case "cmaes":
                return not isinstance(distribution, CategoricalDistribution)
            case _:
                return True

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """All of it; see optuna's BaseSampler."""
        return dict(self._space)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """See optuna's BaseSampler."""
        drawn: Params = {}
        for drawn in self._draws(self._shown(study), trial):
            admitted = self._rules.admit(drawn, trial.number)
            if admitted is not None:
                return admitted
        # What was tried already is lent its result, which the trial says.
        return self._rules.spare(trial.number) or drawn

    def _draws(self, study: Study, trial: FrozenTrial) -> Iterator[Params]:
        """What the sampler wants, then what is ever further off it, then anything."""
        drawn: Params = {}
        expected = self._expected_rate(study, trial.number)
        for _ in range(DRAWS.get(self._spec.search.sampler, MOST_DRAWS)):
            drawn = self._draw(self._sampler, study, trial) | expected
            yield drawn
        generator = np.random.default_rng([self._spec.seed, trial.number])
        for nudge in range(NUDGES):
            yield {
                name: nudged(value, self._spec.space[name], generator.uniform(-1, 1) * 2**nudge)
                for name, value in drawn.items()
            }
        for _ in range(RANDOM_DRAWS):
            yield self._draw(self._random, study, trial)

    def _draw(self, sampler: BaseSampler, study: Study, trial: FrozenTrial) -> Params:
        drawn = sampler.sample_relative(study, trial, self._joint) if self._joint else {}
        params: Params = {}
        for name, dist in self._space.items():
            if not self._spec.is_searched(name, params):
                continue
            value = (
                drawn[name]
                if name in drawn
                else sampler.sample_independent(study, trial, name, dist)
            )
            params[name] = dist.to_external_repr(dist.to_internal_repr(value))
        return params

    def _expected_rate(self, study: Study, number: int) -> Params:
        """The learning rate by the prior, while the random trials last."""
        ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
        if self._spec.search.prior == "none" or len(ended) >= self._num_random:
            return {}
        rate = draw_rate(self._spec, np.random.default_rng([self._spec.seed, number, 1]))
        return {} if rate is None else {"learning_rate": rate}

    def _shown(self, study: Study) -> Study:
        """The study as the sampler is to see it."""
        show = _SHOWN.get(self._spec.search.sampler)
        if show is None:
            return study
        seen = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)
        whole = [
            trial
            for trial in [*self._rules.earlier(), *study.get_trials(deepcopy=False)]
            if trial.state in seen and self._required <= trial.params.keys()
        ]
        return study_as_shown(study, self._storage, show(whole))

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """See optuna's BaseSampler."""
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """See optuna's BaseSampler."""
        self._sampler.before_trial(study, trial)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        """See optuna's BaseSampler."""
        self._sampler.after_trial(study, trial, state, values)

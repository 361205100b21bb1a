"""The search space: from the study file to Optuna, and from Optuna's values to a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial

from sweeper.study import Choice, Dimension, Hyperparameters, StudySpec


def distributions_of(spec: StudySpec) -> dict[str, BaseDistribution]:
    """Optuna's distribution for every dimension of the study's space, in the order of its draws."""
    return {name: _distribution(spec.space[name]) for name in spec.search_order}


def _distribution(dimension: Dimension) -> BaseDistribution:
    """A range that its steps do not fill ends at the last of them, as the study file says."""
    if isinstance(dimension, Choice):
        return CategoricalDistribution(dimension.values)
    low, high, step, log = dimension.low, dimension.high, dimension.step, dimension.log
    if step is not None:
        high = dimension.grid_values()[-1]
    if dimension.is_integer:
        return IntDistribution(int(low), int(high), log=log, step=int(step or 1))
    return FloatDistribution(float(low), float(high), log=log, step=step)


def draw(trial: Trial, spec: StudySpec) -> Hyperparameters:
    """Let Optuna's sampler choose a recipe; what the space does not name is the baseline's."""
    chosen: dict[str, Any] = {}
    for name, dist in distributions_of(spec).items():
        if spec.is_searched(name, chosen):
            chosen[name] = _suggest(trial, name, dist)
    return spec.hyperparameters_with(chosen)


def record(trial: Trial, spec: StudySpec, hyperparameters: Hyperparameters) -> None:
    """Tell Optuna the values of a trial that was fixed in advance.

    A value that the space does not contain is left out: the sampler learns
    nothing from it, rather than something false.
    """
    for name in fixed_params(spec, hyperparameters):
        _suggest(trial, name, distributions_of(spec)[name])


def fixed_params(spec: StudySpec, hyperparameters: Hyperparameters) -> dict[str, Any]:
    """The values of a recipe that lie in the space, as `enqueue_trial` wants them."""
    values = hyperparameters.model_dump()
    return {
        name: values[name]
        for name, dist in distributions_of(spec).items()
        if contains(dist, values[name]) and spec.is_searched(name, values)
    }


def contains(distribution: BaseDistribution, value: Any) -> bool:
    """Whether a dimension allows a value."""
    if isinstance(distribution, CategoricalDistribution):
        return any(value == choice for choice in distribution.choices)
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    if not distribution.low <= value <= distribution.high:
        return False
    if not distribution.step:
        return True
    steps = (value - distribution.low) / distribution.step
    return abs(steps - round(steps)) < 1e-8


def _suggest(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
    match distribution:
        case CategoricalDistribution():
            return trial.suggest_categorical(name, distribution.choices)
        case IntDistribution():
            return trial.suggest_int(
                name,
                distribution.low,
                distribution.high,
                step=distribution.step,
                log=distribution.log,
            )
        case FloatDistribution():
            return trial.suggest_float(
                name,
                distribution.low,
                distribution.high,
                step=distribution.step,
                log=distribution.log,
            )
    raise AssertionError(f"no such distribution: {distribution}")


def as_plain(hyperparameters: Hyperparameters) -> Mapping[str, Any]:
    """A recipe as JSON-able values by name."""
    plain: dict[str, Any] = hyperparameters.model_dump(mode="json")
    return plain

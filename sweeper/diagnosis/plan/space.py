"""A search space around the baseline and the changes that the advice names."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from sweeper.diagnosis.plan.baseline import PlannedBaseline
from sweeper.diagnosis.plan.ground import Ground
from sweeper.diagnosis.plan.hypotheses import PlannedHypothesis
from sweeper.diagnosis.spelling import value_text
from sweeper.study import Hyperparameters, HyperparameterValue
from sweeper.study.quantities import LARGEST_WHOLE

# Adapters usually train at rates ten times those of whole models.
_USUAL_RATES = (1e-4, 1e-3)
_HIGHEST_RATE = 10.0
_SCHEDULES = ("constant", "linear", "cosine")
_FACTORS = {
    "block_size": (0.5, 1.0, 2.0),
    "batch_size": (0.5, 1.0, 2.0, 4.0),
    "accumulation": (1.0, 2.0, 4.0),
}
_LOWEST = {"block_size": 2}


def plan_space(
    baseline: PlannedBaseline,
    hypotheses: Sequence[PlannedHypothesis],
    ground: Ground,
    longest_block: int,
) -> dict[str, str]:
    """For each searched hyperparameter its form in YAML.

    Args:
        baseline: The run to beat.
        hypotheses: Their values are in the space.
        ground: What trains.
        longest_block: Tokens of a trial: no block may be longer.
    """
    start = baseline.hyperparameters
    limit = min(longest_block, ground.longest_block or longest_block, LARGEST_WHOLE)
    space: dict[str, str] = {}
    for name, factors in _FACTORS.items():
        most = limit if name == "block_size" else LARGEST_WHOLE
        own = getattr(start, name)
        around = {max(int(own * factor), _LOWEST.get(name, 1)) for factor in factors}
        values = around | {own} | set(_changed_wholes(name, hypotheses))
        space[name] = _listed(sorted(value for value in values if value <= most))
    space["learning_rate"] = _rates(start, hypotheses)
    space["schedule"] = _listed(_SCHEDULES)
    space |= _other_dimensions(start, hypotheses, space)
    return space


def _changed_wholes(name: str, hypotheses: Sequence[PlannedHypothesis]) -> Iterator[int]:
    for hypothesis in hypotheses:
        value = hypothesis.change.get(name)
        if isinstance(value, int):
            yield value


def _rates(start: Hyperparameters, hypotheses: Sequence[PlannedHypothesis]) -> str:
    """A third of the lowest rate to thirty times the baseline's, adapters' usual rates within."""
    changed = [hypothesis.change.get("learning_rate") for hypothesis in hypotheses]
    rates = [start.learning_rate, *(rate for rate in changed if isinstance(rate, float))]
    low = _rounded(min(min(rates) / 3, _USUAL_RATES[0]), up=False)
    high = _rounded(max(30 * start.learning_rate, *rates, _USUAL_RATES[1]), up=True)
    low = low if low > 0 else min(rates)
    return f"{{low: {value_text(low)}, high: {value_text(min(high, _HIGHEST_RATE))}, log: true}}"


def _rounded(value: float, *, up: bool) -> float:
    """One digit, away from the middle of the range."""
    exponent = math.floor(math.log10(value)) if value > 0 else 0
    scaled = value / 10.0**exponent if exponent > -300 else 0.0
    digit = math.ceil(scaled - 1e-9) if up else math.floor(scaled + 1e-9)
    return float(f"{digit}e{exponent}")


def _other_dimensions(
    start: Hyperparameters, hypotheses: Sequence[PlannedHypothesis], space: Mapping[str, str]
) -> dict[str, str]:
    """What only the advice changes: the baseline's value and the others."""
    values: dict[str, list[HyperparameterValue]] = {}
    for hypothesis in hypotheses:
        for name, value in hypothesis.change.items():
            if name in space or name == "seed":
                continue
            listed = values.setdefault(name, [getattr(start, name)])
            if value not in listed:
                listed.append(value)
    return {name: _listed(listed) for name, listed in values.items()}


def _listed(values: Sequence[HyperparameterValue]) -> str:
    return f"[{', '.join(value_text(value) for value in values)}]"

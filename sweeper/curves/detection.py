"""All detectors over one finished curve."""

from __future__ import annotations

from dataclasses import replace

from sweeper.curves.curve import Curve
from sweeper.curves.finding import Finding, FindingKind
from sweeper.curves.instability import find_instability
from sweeper.curves.non_finite import find_lasting_non_finite
from sweeper.curves.overfit import find_overfit
from sweeper.curves.repetition import find_eval_not_tracking, find_weights_not_updating
from sweeper.curves.series import Series
from sweeper.curves.stagnation import find_final_plateau, find_never_learned
from sweeper.curves.throughput import find_throughput_drop


def detect(curve: Curve, *, warmup_steps: int | None = None) -> tuple[Finding, ...]:
    """Everything that the detectors find, in the order of the steps.

    Args:
        curve: Points in the order of their steps, no step twice.
        warmup_steps: Length of the warmup; None: as the logged rate shows it.
    """
    unstable = find_instability(curve)
    broken = find_lasting_non_finite(curve)
    found = [*unstable, broken, find_throughput_drop(curve), find_eval_not_tracking(curve)]
    has_diverged = any(finding.kind is FindingKind.DIVERGENCE for finding in unstable)
    if not has_diverged and (broken is None or broken.recovered):
        found += [*_find_stagnation(curve, unstable, warmup_steps), find_overfit(curve)]
    present = [finding for finding in found if finding is not None]
    return tuple(sorted(present, key=lambda finding: finding.start_step))


def _find_stagnation(
    curve: Curve, spikes: list[Finding], warmup_steps: int | None
) -> list[Finding]:
    """What is flat, once warmup and a loss that is masked to zero are out of the question."""
    repeats = find_weights_not_updating(curve)
    if repeats is not None:  # every epoch gives the same losses: flat, however they jump about
        return [repeats, replace(repeats, kind=FindingKind.PLATEAU)]
    end_of_warmup = _end_of_warmup(curve) if warmup_steps is None else warmup_steps
    if end_of_warmup is None or any(not spike.recovered for spike in spikes):
        return []
    plateau = find_final_plateau(curve, since_step=end_of_warmup, spikes=spikes)
    never = find_never_learned(curve)
    return [finding for finding in (plateau, never) if finding is not None]


def _end_of_warmup(curve: Curve) -> int | None:
    """The step at which the logged rate was highest; None where it still rises at the end."""
    rates = Series.of(curve, "learning_rate")
    if not len(rates) or rates.values.max() <= 0:
        return 0
    peak = int(rates.values.argmax())
    is_rising = peak == len(rates) - 1 and rates.values[-1] > rates.values[0]
    return None if is_rising else int(rates.steps[peak])

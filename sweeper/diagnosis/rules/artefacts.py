"""What the log makes of a run: means that lag, times that add up, runs that are mixed."""

from __future__ import annotations

import numpy as np

from sweeper.curves import FindingKind
from sweeper.curves.series import Series
from sweeper.diagnosis.case import Case, Evidence
from sweeper.diagnosis.cause import Advice, Decision, Rule
from sweeper.diagnosis.remedies import proposed
from sweeper.diagnosis.verdicts import contradicted, supported

_TIME_POINTS = 6
_RUNNING_MEAN = "running mean"
_PER_STEP = "per step"


def _decide_artefact(case: Case) -> Decision:
    signs = [*_running_means(case), *_cumulative_times(case), *_mixed_runs(case)]
    if not signs:
        return contradicted(
            0.6,
            "No column is a running mean, no time adds up unnoticed, and the log holds one run.",
        )
    confidence = max(weight for weight, _ in signs)
    return supported(confidence, *(text for _, text in signs))


def _running_means(case: Case) -> list[tuple[float, str]]:
    return [
        (
            0.5,
            f"Column {use.name} was read as a {_RUNNING_MEAN}: it lags behind the loss, hides "
            "spikes and goes on falling on a plateau.",
        )
        for use in case.log.columns
        if use.reading == _RUNNING_MEAN and use.role.endswith("loss")
    ]


def _cumulative_times(case: Case) -> list[tuple[float, str]]:
    """Step times that grow by about the same at every point are a clock, not a slowdown."""
    if not case.of_kind(FindingKind.THROUGHPUT_DROP):
        return []
    if any(use.role == "step_seconds" and use.basis == "by flag" for use in case.log.columns):
        return []
    times = Series.of(case.curve, "step_seconds").values
    if len(times) < _TIME_POINTS:
        return []
    growth = np.diff(times)
    if not np.all(growth > 0) or times[-1] < len(times) / 2 * times[0]:
        return []
    return [
        (
            0.7,
            f"The step time grows at each of {len(times)} points, from {times[0]:.3g} to "
            f"{times[-1]:.3g} s: it looks cumulative and was read as {_PER_STEP} (--time "
            "cumulative reads it otherwise).",
        )
    ]


def _mixed_runs(case: Case) -> list[tuple[float, str]]:
    if len(case.log.runs) < 2:
        return []
    name = f", {case.log.run}," if case.log.run else ""
    return [
        (0.3, f"The log holds {len(case.log.runs)} runs; one of them{name} is read here (--run).")
    ]


def _advise_artefact(case: Case, decision: Decision) -> tuple[Advice, ...]:
    return proposed(
        Advice(
            id="log-raw-values",
            title="Log each step's own loss and time, one run to a file",
            reason=decision.evidence[0],
            refuted_by="The raw values show the same.",
            urgency=3,
        )
    )


LOG_ARTEFACT = Rule(
    id="log-artefact",
    title="The log shows something that the run did not do",
    needs=(Evidence.LOG,),
    decide=_decide_artefact,
    cannot_show="The raw values that it was made of.",
    experiment="Log the raw values beside those of the present log for 100 steps.",
    advise=_advise_artefact,
)

"""What slows steps down, and what cannot."""

from __future__ import annotations

from sweeper.curves import Finding, FindingKind
from sweeper.diagnosis.case import Case, Evidence
from sweeper.diagnosis.cause import Advice, Decision, Rule
from sweeper.diagnosis.readings import surges
from sweeper.diagnosis.remedies import proposed, smaller_block
from sweeper.diagnosis.verdicts import contradicted, supported, untestable

_NO_DROP = "No lasting drop of speed in this log."


def main_drop(case: Case) -> Finding | None:
    """The largest drop of speed."""
    drops = case.of_kind(FindingKind.THROUGHPUT_DROP)
    return max(drops, key=lambda drop: drop.severity, default=None)


def slowdown(drop: Finding) -> str:
    """A drop in words, with the numbers that are known."""
    before, after = drop.numbers.get("before_s"), drop.numbers.get("after_s")
    if not before or not after or before < 0 or after < 0:
        return f"From step {drop.start_step:,} on a step takes {drop.severity:.2f} times as long"
    return (
        f"From step {drop.start_step:,} on a step takes {after:.3g} s instead of {before:.3g} "
        f"({1 / before:.2f} to {1 / after:.2f} steps/s, {100 * (before / after - 1):+.0f} %)"
    )


def _decide_outside(case: Case) -> Decision:
    drop = main_drop(case)
    if drop is None:
        return contradicted(0.85, _NO_DROP)
    lasting = (
        " It ended again within the log, as a pause for other work would."
        if drop.recovered
        else " It lasts to the log's end."
    )
    if drop.numbers.get("num_points") == 1 and not drop.recovered:
        lasting = " It rests on one point: whether it lasts is not known."
    return supported(
        0.5,
        f"{slowdown(drop)}. The work of a step is the same at every step, so something beside it "
        f"takes the time.{lasting}",
        "Suspects: text sampled within the loop, memory that is paged or nearly full, heat, and "
        "evaluations or saves counted as training. Which one is untestable without counters.",
        ratio=drop.severity,
        before_s=drop.numbers.get("before_s"),
        after_s=drop.numbers.get("after_s"),
    )


def _advise_outside(case: Case, decision: Decision) -> tuple[Advice, ...]:
    return proposed(
        Advice(
            id="profile-slowdown",
            title="Log memory, temperature and the seconds of evaluation and sampling apart",
            reason=f"{decision.evidence[0]} A fresh process at that step tells state from cause.",
            refuted_by="A fresh process resumed at that step is as slow from its first step on.",
            urgency=3,
        ),
        smaller_block(case),
    )


def _decide_by_spike(case: Case) -> Decision:
    drop, spikes = main_drop(case), surges(case)
    if drop is None:
        return contradicted(0.85, _NO_DROP)
    if not spikes:
        return contradicted(0.9, "There is a drop of speed and no spike that could have caused it.")
    nearest = min(spikes, key=lambda spike: abs(spike.start_step - drop.start_step))
    return contradicted(
        0.85,
        f"{slowdown(drop)}, beside the spike at step {nearest.start_step:,}. A loss that is a "
        "finite number does not set a step's cost: the same matrices of the same shapes are "
        "multiplied, whatever they hold. A common origin of both is not excluded.",
    )


def _decide_memory(case: Case) -> Decision:
    drop = main_drop(case)
    if drop is None:
        return contradicted(0.85, _NO_DROP)
    return untestable(
        f"{slowdown(drop)}; nothing in the log tells memory. Log the device's allocated and "
        "reserved memory and the system's swap."
    )


THROUGHPUT = Rule(
    id="throughput",
    title="Something beside the training step takes time",
    needs=(Evidence.LOG, Evidence.TIMES),
    decide=_decide_outside,
    cannot_show="Which: sampling, paging, heat or evaluation, without counters.",
    experiment=(
        "Resume in a fresh process at that step without sampling and evaluation: fast again means "
        "state or extra work; slow from the start means the machine."
    ),
    advise=_advise_outside,
)
SLOWED_BY_SPIKE = Rule(
    id="slowed-by-spike",
    title="The spike slowed training down",
    needs=(Evidence.LOG, Evidence.TIMES),
    decide=_decide_by_spike,
    cannot_show="Whether one fault caused both.",
    experiment="Time ten steps from the checkpoint at the spike and from the one before.",
)
MEMORY_PRESSURE = Rule(
    id="memory-pressure",
    title="Memory ran short, and was paged or collected",
    needs=(Evidence.LOG, Evidence.TIMES),
    decide=_decide_memory,
    cannot_show="Anything from times alone.",
    experiment="Time 50 steps with half the batch: tokens per second must rise if memory is short.",
    advise=lambda case, decision: proposed(smaller_block(case)),
)

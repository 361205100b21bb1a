"""What each spike was: its size, who saw it, when it began, whether the loss came back."""

from __future__ import annotations

import math
from collections.abc import Iterator

from sweeper.curves import Finding, FindingKind
from sweeper.curves.noise import difference_sigma
from sweeper.curves.spike import MIN_POINTS_FOR_SIGMA, SpikeSettings
from sweeper.diagnosis import phrases
from sweeper.diagnosis.case import Case
from sweeper.diagnosis.diagnosis import SpikeAnalysis
from sweeper.diagnosis.excursion import (
    SERIES_WORDS,
    Losses,
    Rise,
    main_rises,
    rises_in,
)

# Back within a twentieth of the height of where it was: the rest is noise.
_FULL_RECOVERY = 0.05


def analyse_spikes(case: Case) -> tuple[SpikeAnalysis, ...]:
    """Every spike and divergence, in the order of their steps."""
    losses = case.losses
    return tuple(analyse_spike(finding, losses) for finding in main_rises(case))


def analyse_spike(finding: Finding, losses: Losses) -> SpikeAnalysis:
    """One spike or divergence."""
    seen = rises_in(losses, finding)
    if not seen:
        sentences: tuple[str, ...] = (finding.evidence,)
        return SpikeAnalysis(
            finding.start_step, None, finding.start_step, finding.end_step, sentences
        )
    main = max(seen, key=lambda rise: rise.height)
    sentences = (
        _nature(finding, main),
        *_sizes(losses, seen),
        _place(seen),
        _witnesses(losses, seen),
        _onset(finding, main),
        _duration(finding, main),
        _recovery(finding, losses, seen),
    )
    previous = max(rise.before_step for rise in seen)
    return SpikeAnalysis(
        start_step=finding.start_step,
        previous_step=previous,
        peak_step=main.peak_step,
        end_step=finding.end_step,
        sentences=tuple(sentence for sentence in sentences if sentence),
    )


def _nature(finding: Finding, rise: Rise) -> str:
    if finding.kind is FindingKind.DIVERGENCE:
        return (
            f"A divergence: from step {rise.before_step:,} to {finding.end_step:,} the loss rose "
            f"from {phrases.loss(rise.before)} and did not come back."
        )
    width = (
        "one logged point"
        if len(rise.elevated_steps) == 1
        else (f"{len(rise.elevated_steps):,} logged points")
    )
    return (
        f"A jump of {width}: {SERIES_WORDS[rise.series]} loss {phrases.loss(rise.before)} at step "
        f"{rise.before_step:,}, {phrases.loss(rise.peak)} at step {rise.peak_step:,}."
    )


def _sizes(losses: Losses, seen: tuple[Rise, ...]) -> Iterator[str]:
    """Height in nats, per cent, as a factor on perplexity, and against the noise."""
    for rise in seen:
        yield (
            f"{SERIES_WORDS[rise.series].capitalize()}: {phrases.nats(rise.height)} nats, "
            f"{_share(rise)}perplexity "
            f"{phrases.perplexity(rise.height)}{_sigmas(losses, rise)}."
        )


def _share(rise: Rise) -> str:
    if not rise.base:
        return ""
    return f"{phrases.percent(rise.height / abs(rise.base))} of the loss before, "


def _sigmas(losses: Losses, rise: Rise) -> str:
    num_before = len(losses[rise.series].between(-math.inf, rise.before_step))
    if num_before < MIN_POINTS_FOR_SIGMA:
        return f"; {phrases.plural(num_before, 'point')} before it, too few to tell the noise"
    sigma = _noise_before(losses, rise)
    return f"; {rise.height / sigma:.0f} times the noise of {sigma:.3g} nats" if sigma > 0 else ""


def _place(seen: tuple[Rise, ...]) -> str:
    """Above or below the start, and what that excludes."""
    above = [rise for rise in seen if rise.is_above_start]
    rise = max(above or seen, key=lambda rise: rise.height)
    numbers = f"{phrases.loss(rise.peak)} against {phrases.loss(rise.start)} at the start"
    if not rise.shows_start:
        return (
            f"The log begins at step {rise.start_step:,}, so the starting loss is not known; its "
            f"first loss is {phrases.loss(rise.start)}."
        )
    if len(above) == 2:
        return (
            f"It stands above the starting loss ({numbers}) in training and validation alike. One "
            "odd training batch cannot do that: it does not touch the validation set. Damaged "
            "weights or a fault of the evaluation or of the adapter's state both fit."
        )
    if above:
        return (
            f"It stands above the starting loss in {SERIES_WORDS[rise.series]} ({numbers}): worse "
            "than before any training."
        )
    return f"It stays below the starting loss ({numbers}): part of what was learned was kept."


def _witnesses(losses: Losses, seen: tuple[Rise, ...]) -> str:
    risen = [rise for rise in seen if rise.has_risen]
    if len(seen) == 1:
        other = "val_loss" if seen[0].series == "train_loss" else "train_loss"
        logged = len(losses[other]) > 0
        why = "was not logged inside it" if logged else "was not logged"
        return (
            f"Only {SERIES_WORDS[seen[0].series]} loss can tell: {SERIES_WORDS[other]} loss {why}."
        )
    if len(risen) == 2 and all(rise.is_above_start for rise in seen):
        return ""  # said already
    if len(risen) == 2:
        return "Training and validation rose together, so it is no matter of one set of texts."
    who = SERIES_WORDS[(risen or list(seen))[0].series]
    other = "validation" if who == "training" else "training"
    return f"Only {who} loss rose; {other} loss did not follow."


def _onset(finding: Finding, rise: Rise) -> str:
    gap = finding.start_step - rise.before_step
    if gap <= 1:
        return f"It began at step {finding.start_step:,}."
    return (
        f"It began somewhere in ({rise.before_step:,}, {finding.start_step:,}]: "
        f"nothing was logged in between."
    )


def _duration(finding: Finding, rise: Rise) -> str:
    if not finding.recovered or rise.after_step is None:
        return ""
    first, last = rise.elevated_steps[0], rise.elevated_steps[-1]
    longest = rise.after_step - rise.before_step
    if len(rise.elevated_steps) == 1 and longest > 2:
        return (
            f"Its duration is unresolved: somewhere in ({rise.before_step:,}, "
            f"{rise.after_step:,}), so less than {longest:,} steps."
        )
    least, most = last - first + 1, max(longest - 1, last - first + 1)
    if least == most:
        return f"It lasted {phrases.plural(most, 'step')}."
    return f"It lasted between {least:,} and {most:,} steps."


def _recovery(finding: Finding, losses: Losses, seen: tuple[Rise, ...]) -> str:
    """Full or partial, with the numbers before and after."""
    ended = [rise for rise in seen if rise.after is not None]
    if finding.recovered is False or not ended:
        return "The loss did not come back within this log."
    is_full = all(_is_back(losses, rise) for rise in ended)
    numbers = phrases.joined(
        [
            f"{SERIES_WORDS[rise.series]} {phrases.loss(rise.after)} at step {rise.after_step:,} "
            f"against {phrases.loss(rise.before)} before"
            for rise in ended
        ]
    )
    return f"Recovery: {'full' if is_full else 'partial'}, {numbers}."


def _is_back(losses: Losses, rise: Rise) -> bool:
    """Whether the first values after it are where it rose from, within noise."""
    values = [value for value in (rise.after, rise.settled) if value is not None]
    near = max(_FULL_RECOVERY * rise.height, 3 * _noise_before(losses, rise))
    return min(values) - rise.base <= near


def _noise_before(losses: Losses, rise: Rise) -> float:
    """Robust standard deviation just before it; 0 where too few points can tell."""
    before = losses[rise.series].between(-math.inf, rise.before_step).values
    recent = before[-SpikeSettings().window :]
    return difference_sigma(recent) if len(recent) >= MIN_POINTS_FOR_SIGMA else 0.0

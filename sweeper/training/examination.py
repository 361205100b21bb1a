"""What was found out about a spike by experiment, and what that decides.

A spike has three usual suspects: the batch, the rate, and the optimizer's moments. Each is changed
alone, from the same good state, and the steps are taken again. What makes the spike go is its
cause; what does not is cleared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from sweeper.curves.spike import SpikeSettings
from sweeper.training.manifest_file import read_json

EXAMINATION_FILE = "spike.json"
# What is left of a spike's height that no longer counts as the spike: the detector's own share.
GONE_SHARE = SpikeSettings().recovered_share


class SpikeCause(StrEnum):
    """What a spike was put down to."""

    BATCH = "bad batch"
    RATE = "rate too high"
    MOMENTS = "optimizer state"
    SEVERAL = "more than one"
    NONE = "none of these"
    NOT_REPEATED = "did not repeat"


class Change(StrEnum):
    """What one experiment did otherwise than the trial."""

    NOTHING = "as it was"
    BATCH = "another batch"
    HALF_RATE = "half the rate"
    TENTH_RATE = "a tenth of the rate"
    HUNDREDTH_RATE = "a hundredth of the rate"
    MOMENTS = "fresh moments"


class Experiment(BaseModel):
    """The steps around a spike, taken again with one change.

    Attributes:
        change: Which.
        first_step: Step of the first loss.
        train_losses: In nats, step by step; None where no token of a step counts.
        height: The highest over the level before the spike, in nats; 0 where none passes the
            threshold that the trial's spike passed, infinite where the run broke off.
        val_loss: On the whole validation set after the last step.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    change: Change
    first_step: int
    train_losses: tuple[float | None, ...]
    height: float
    val_loss: float | None


class ReadDocument(BaseModel):
    """A document, or the part of one, that a suspected batch holds.

    Attributes:
        step: Whose batch.
        name: The document's, with its place.
        num_tokens: Length of the part.
        loss: Its own, in nats a token, in its batch and by the weights before the spike.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    step: int
    name: str
    num_tokens: int
    loss: float


class Examination(BaseModel):
    """A spike, what led to it, and the experiments.

    Attributes:
        trial: Its number; None outside a study.
        onset_step: The first step whose loss is high.
        recorded_height: Of the spike in the trial, in nats.
        learning_rate: At the onset.
        checkpoint_step: Where the replay began: the newest checkpoint early enough, else 0.
        branch_step: Steps that were taken as they were; all experiments go on from there.
        repeats_exactly: Whether the losses up to the branch and of the unchanged experiment are
            the recorded ones, bit for bit.
        usual_grad_norm: Median of the norms before the spike; None where too few are known.
        onset_grad_norm: At the onset.
        peak_grad_norm: The largest from five steps before the onset to the spike's end.
        peak_grad_norm_step: Its step.
        val_loss_before: At the branch.
        batch_losses: Of the batches of the suspected steps, by the weights at the branch.
        other_batch_losses: The same of the batches that stood in for them.
        documents: Of the suspected batches, the highest loss first.
        replaced_until_step: The last whose batch another stood in for; None as versions kept it
            that replaced the suspected ones alone.
        other_document_losses: Median and highest among those of the batches that stood in; None
            where no token of theirs counts.
        experiments: The unchanged one first.
        cause: What they decide.
        evidence: Why, in a sentence.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    trial: int | None
    onset_step: int
    recorded_height: float
    learning_rate: float
    checkpoint_step: int
    branch_step: int
    repeats_exactly: bool
    usual_grad_norm: float | None
    onset_grad_norm: float | None
    peak_grad_norm: float | None
    peak_grad_norm_step: int | None
    val_loss_before: float
    batch_losses: tuple[float, ...]
    other_batch_losses: tuple[float, ...]
    documents: tuple[ReadDocument, ...]
    other_document_losses: tuple[float, float] | None
    experiments: tuple[Experiment, ...]
    cause: SpikeCause
    evidence: str
    replaced_until_step: int | None = None


_ALONE = {
    SpikeCause.BATCH: "Alone this makes it go.",
    SpikeCause.RATE: "Alone this makes it go.",
    SpikeCause.MOMENTS: "Fresh moments make it go, at the full rate.",
}


class Decision(NamedTuple):
    """What the experiments come to."""

    cause: SpikeCause
    evidence: str


def decide(experiments: Sequence[Experiment]) -> Decision:
    """What a spike is put down to: whatever alone makes it go.

    The batch is to blame where the spike is gone with all others but one at most: a single lucky
    one decides nothing. A tenth of the rate counts only where nothing else helps, for so small a
    step hides a bad batch as well; a hundredth is tried only then. Half the rate calms whatever
    comes of too long a step; where fresh moments do so at the full rate, it was they that had made
    the step too long.

    Args:
        experiments: One without a change, and any of the others.
    """
    reference = next(e.height for e in experiments if e.change is Change.NOTHING)
    if reference <= 0:
        return Decision(
            SpikeCause.NOT_REPEATED,
            "The same steps from the same state gave no spike: it hung on rounding, on trials "
            "trained beside it, or on something outside.",
        )
    gone = {
        change: [_is_gone(e.height, reference) for e in experiments if e.change is change]
        for change in Change
    }
    causes = [
        cause
        for cause, change in (
            (SpikeCause.BATCH, Change.BATCH),
            (SpikeCause.RATE, Change.HALF_RATE),
            (SpikeCause.MOMENTS, Change.MOMENTS),
        )
        if gone[change] and sum(gone[change]) >= max(len(gone[change]) - 1, 1)
    ]
    if set(causes) == {SpikeCause.RATE, SpikeCause.MOMENTS}:
        causes = [SpikeCause.MOMENTS]
    told = "; ".join(_told(change, gone[change]) for change in Change if _is_told(change, gone))
    if len(causes) == 1:
        return Decision(causes[0], f"{_ALONE[causes[0]]} {_sentence(told)}")
    if causes:
        listed = " and ".join(cause.value for cause in causes)
        return Decision(SpikeCause.SEVERAL, f"Each of these makes it go: {listed}. {told}.")
    for change, times in ((Change.TENTH_RATE, "twice"), (Change.HUNDREDTH_RATE, "ten times")):
        if any(gone[change]):
            return Decision(SpikeCause.RATE, f"By more than {times}. {_sentence(told)}")
    return Decision(SpikeCause.NONE, f"No change makes it go. {_sentence(told)}")


def _is_gone(height: float, reference: float) -> bool:
    """Whether so little is left; of what broke off, nothing may be."""
    return height <= (GONE_SHARE * reference if math.isfinite(reference) else 0.0)


def _is_told(change: Change, gone: dict[Change, list[bool]]) -> bool:
    return change is not Change.NOTHING and bool(gone[change])


def _told(change: Change, gone: list[bool]) -> str:
    if len(gone) == 1:
        return f"{change.value}: {'gone' if gone[0] else 'still there'}"
    return f"{change.value}: gone in {sum(gone)} of {len(gone)}"


def _sentence(told: str) -> str:
    return f"{told[:1].upper()}{told[1:]}."


def read_examination(folder: Path) -> Examination | None:
    """The examination in a trial's folder; None where it was not examined.

    Raises:
        CheckpointError: It is damaged.
    """
    path = folder / EXAMINATION_FILE
    return read_json(path, Examination) if path.is_file() else None

"""Spikes that were examined, in words: what was tried, and what it decides."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sweeper.reports import words
from sweeper.search.results import StudyResults
from sweeper.training.examination import Change, Examination, Experiment

_MOST_DOCUMENTS = 12
EXPERIMENT_HEADINGS = ("steps taken again", "highest", "over the level", "last loss", "val loss")
DOCUMENT_HEADINGS = ("step", "document", "tokens", "own loss")


@dataclass(frozen=True)
class ExaminedSpike:
    """One examination as plain words.

    Attributes:
        title: Trial, step and cause.
        decision: What the experiments decide, and why.
        before: Rate, gradient norms, and how it was done.
        experiments: A row each, by `EXPERIMENT_HEADINGS`.
        batch: How the suspected batches compare with others.
        documents: A row each, by `DOCUMENT_HEADINGS`.
    """

    title: str
    decision: str
    before: str
    experiments: list[tuple[str, ...]]
    batch: str
    documents: list[tuple[str, ...]]


def examined_spikes(results: StudyResults) -> list[ExaminedSpike]:
    """All of a study, in the order of the trials."""
    return [in_words(t.examination) for t in results.trials if t.examination is not None]


def in_words(found: Examination) -> ExaminedSpike:
    """An examination in words."""
    name = "" if found.trial is None else f"Trial {found.trial}, "
    title = f"{name}step {found.onset_step:,}: {found.cause.value}"
    return ExaminedSpike(
        title=f"{title[:1].upper()}{title[1:]}",
        decision=found.evidence,
        before=f"{_before(found)} {_method(found)}",
        experiments=[_experiment_row(one, found) for one in found.experiments],
        batch=_batch(found),
        documents=[
            (
                str(document.step),
                words.clean(document.name, 80),
                str(document.num_tokens),
                words.nats(document.loss),
            )
            for document in found.documents[:_MOST_DOCUMENTS]
        ],
    )


def _before(found: Examination) -> str:
    norms = f"The gradient norm was {words.number(found.onset_grad_norm, '.3g')} at it"
    if found.usual_grad_norm is None:
        norms += "; too few came before to say what is usual."
    else:
        norms += (
            f", usually {words.number(found.usual_grad_norm, '.3g')} before, and at most "
            f"{words.number(found.peak_grad_norm, '.3g')} (step {found.peak_grad_norm_step})."
        )
    what = (
        f"The training loss rises by {words.nats(found.recorded_height)} nats from step "
        f"{found.onset_step:,} on"
        if math.isfinite(found.recorded_height)
        else f"The run breaks off at step {found.onset_step:,}, by a loss or gradient that is no "
        "number"
    )
    return f"{what}, at a rate of {words.value_words(found.learning_rate)}. {norms}"


def _method(found: Examination) -> str:
    begin = "the start" if not found.checkpoint_step else f"the checkpoint {found.checkpoint_step}"
    same = "bit for bit as recorded" if found.repeats_exactly else "not bit for bit as recorded"
    untried = (
        "" if found.branch_step else " Before the first step there are no moments to be forgotten."
    )
    return (
        f"Replayed from {begin} to step {found.branch_step} as it was ({same}), and from there "
        f"with each change; other batches stand in for {_replaced(found)}.{untried}"
    )


def _replaced(found: Examination) -> str:
    """Which steps learned from other batches, and why so many."""
    last = found.replaced_until_step
    if last is None or last <= found.onset_step:
        return "those of the onset and of the step before"
    return (
        f"those from the step before the onset to step {last}, as long as they go on with a "
        "document of the onset's"
    )


def _experiment_row(one: Experiment, found: Examination) -> tuple[str, ...]:
    losses = [loss for loss in one.train_losses if loss is not None]
    name = "as it was (control)" if one.change is Change.NOTHING else one.change.value
    return (
        name,
        words.nats(max(losses, default=None)),
        _height(one.height),
        words.nats(losses[-1] if losses else None),
        f"{words.nats(one.val_loss)} ({_val_change(one, found)})",
    )


def _height(height: float) -> str:
    if math.isinf(height):
        return "broke off"
    return words.nats_change(height) if height else "no spike"


def _val_change(one: Experiment, found: Examination) -> str:
    return words.nats_change(None if one.val_loss is None else one.val_loss - found.val_loss_before)


def _batch(found: Examination) -> str:
    own = " and ".join(words.nats(loss) for loss in found.batch_losses)
    parts = [f"the suspected batches cost {own} nats a token"] if own else []
    if found.other_batch_losses and found.other_document_losses:
        low, high = min(found.other_batch_losses), max(found.other_batch_losses)
        middle, highest = found.other_document_losses
        parts.append(
            f"those that stood in for them {words.nats(low)} to {words.nats(high)}; their "
            f"documents {words.nats(middle)} in the middle and {words.nats(highest)} at most"
        )
    return (
        f"By the weights before the spike {', '.join(parts)}. The documents of the suspected "
        f"batches, the highest loss first{_shown_of(len(found.documents))}:"
    )


def _shown_of(amount: int) -> str:
    return f" ({_MOST_DOCUMENTS} of {amount})" if amount > _MOST_DOCUMENTS else ""


def examination_view(found: Examination) -> RenderableType:
    """An examination as the terminal shows it."""
    spike = in_words(found)
    return Group(
        Text(spike.title, style="bold"),
        Text(spike.decision),
        Text(spike.before),
        _table(EXPERIMENT_HEADINGS, spike.experiments, left=0),
        Text(spike.batch),
        _table(DOCUMENT_HEADINGS, spike.documents, left=1),
    )


def _table(headings: tuple[str, ...], rows: list[tuple[str, ...]], left: int) -> Table:
    """A table of words; one column is of text, the others of numbers."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for number, heading in enumerate(headings):
        is_text = number == left
        table.add_column(
            heading, justify="left" if is_text else "right", overflow="fold", no_wrap=not is_text
        )
    for row in rows:
        table.add_row(*map(Text, row))
    return table

"""What the training text explains: odd passages at an event, leaks, and a split that is uneven."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sweeper.curves import Finding, FindingKind
from sweeper.diagnosis import phrases
from sweeper.diagnosis.case import Case, CorpusFacts, Evidence, Passage
from sweeper.diagnosis.cause import Advice, Decision, Rule
from sweeper.diagnosis.excursion import LATEST_START_STEP
from sweeper.diagnosis.gap import gap_rows
from sweeper.diagnosis.readings import main_surge, previous_step, witness
from sweeper.diagnosis.remedies import proposed
from sweeper.diagnosis.verdicts import (
    NO_SPIKE,
    REMEDIES,
    contradicted,
    supported,
    untestable,
)

_DRIFT_Z = 4.0
_SHOWN = 3
_DUPLICATE_SHARE = 0.05
# A gap that is there from the start, and does not grow.
_SHIFT_NATS = 0.1
_CONSTANT_SHARE = 0.35
_PROVEN_LEAK = 0.8  # documents on both sides, and a validation loss below the training loss
_LEAK_SHARE = 0.8
_LEAK_NATS = 0.02


def _decide_quality(case: Case) -> Decision:
    event, corpus = main_surge(case), case.corpus
    if event is None:
        return contradicted(0.8, NO_SPIKE)
    assert corpus is not None
    passages = passages_at(case, event)
    if not passages:
        return untestable(
            f"What was read up to step {event.start_step:,} is not known: give block_size, "
            "batch_size and accumulation with --config."
        )
    odd = [*_remarks(passages), *_drifted(corpus, passages), *_repeated(corpus, passages)]
    places = _places(passages)
    if not odd:
        clean = f"{places}: no duplicate, no repeated section, no drift there"
        if corpus.order_is_known:
            return contradicted(0.7, f"{clean}.")
        return untestable(
            f"{clean}, if the corpus was read in order. Was it shuffled? Log the documents of "
            "each batch, or diagnose a trial of sweeper."
        )
    return _by_witnesses(case, event, (f"{places}: {'; '.join(odd[:_SHOWN])}.",))


def _by_witnesses(case: Case, event: Finding, evidence: tuple[str, ...]) -> Decision:
    """Odd text is there; whether it can have done what the losses did."""
    assert case.corpus is not None
    confidence = 0.55 if case.corpus.order_is_known else 0.3
    if not case.corpus.order_is_known:
        evidence += ("That holds if the corpus was read in order.",)
    val = witness(case.curve, event, "val_loss")
    if val is not None and val.has_risen and val.is_above_start:
        confidence /= 2
        evidence += (
            f"But {val}, above the start: text alone hardly does that at an ordinary learning "
            "rate.",
        )
    return supported(confidence, *evidence)


def passages_at(case: Case, event: Finding) -> tuple[Passage, ...]:
    """What was read in an event, and between it and the point before."""
    if case.corpus is None:
        return ()
    before = previous_step(case.curve, event.start_step)
    first = event.start_step if before is None else before + 1
    found = [
        passage
        for step, passages in sorted(case.corpus.events.items())
        if first <= step <= event.end_step
        for passage in passages
    ]
    return tuple(dict.fromkeys(found))


def _places(passages: tuple[Passage, ...]) -> str:
    names = list(dict.fromkeys(passage.name for passage in passages))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    start = min(passage.start_tokens for passage in passages)
    end = max(passage.start_tokens + passage.num_tokens for passage in passages)
    return f"Read there: {', '.join(names[:_SHOWN])}{more} (tokens {start:,} to {end:,})"


def _remarks(passages: tuple[Passage, ...]) -> Iterator[str]:
    for passage in passages:
        for remark in passage.remarks:
            yield f"{passage.name} is {remark}"


def _drifted(corpus: CorpusFacts, passages: tuple[Passage, ...]) -> Iterator[str]:
    for window in corpus.drift:
        if window.z < _DRIFT_Z:
            continue
        if any(
            p.start_tokens < window.end_tokens
            and window.start_tokens < p.start_tokens + p.num_tokens
            for p in passages
        ):
            yield (
                f"tokens {window.start_tokens:,} to {window.end_tokens:,} are unlike the rest "
                f"({phrases.loss(window.divergence_nats)} nats, {window.z:.1f} sigma)"
            )


def _repeated(corpus: CorpusFacts, passages: tuple[Passage, ...]) -> Iterator[str]:
    for section in corpus.repeated_sections:
        hits = [
            position
            for position in section.positions_tokens
            if any(
                p.start_tokens < position + section.num_tokens
                and position < p.start_tokens + p.num_tokens
                for p in passages
            )
        ]
        if hits:
            yield (
                f"{section.num_tokens:,} tokens that stand in {len(section.positions_tokens)} "
                f"places ({', '.join(section.names[:_SHOWN])})"
            )


def _advise_quality(case: Case, decision: Decision) -> tuple[Advice, ...]:
    return proposed(
        Advice(
            id="clean-data",
            title="Read the named documents, and remove or shuffle what is repeated or foreign",
            reason=decision.evidence[0],
            refuted_by="The run spikes at the same step without those documents.",
            urgency=2,
        )
    )


def num_spare_documents(corpus: CorpusFacts) -> int:
    """Documents that say nothing new: all but the first of every group of equals or near ones."""
    groups = (*corpus.exact_duplicates, *corpus.near_duplicates)
    return len({name for group in groups for name in group.names[1:]})


def _decide_duplicates(case: Case) -> Decision:
    corpus = case.corpus
    assert corpus is not None
    spare = num_spare_documents(corpus)
    share = spare / max(corpus.num_documents, 1)
    text = (
        f"{spare:,} of {corpus.num_documents:,} documents ({100 * share:.1f} %) equal an earlier "
        "one, or nearly"
    )
    if share < _DUPLICATE_SHARE:
        return contradicted(0.8, f"{text}.", share=share)
    if not case.of_kind(FindingKind.PLATEAU, FindingKind.OVERFIT):
        return contradicted(0.4, f"{text}, and the loss is neither flat nor overfitted.")
    return supported(
        0.35,
        f"{text}: they count several times in the training loss, and are learned by heart.",
        share=share,
    )


def _advise_duplicates(case: Case, decision: Decision) -> tuple[Advice, ...]:
    return proposed(
        Advice(
            id="dedupe-text",
            title="Keep one of every group of equal or nearly equal documents",
            reason=decision.evidence[0],
            refuted_by="The validation loss at equal tokens is no lower without the copies.",
            urgency=3,
        )
    )


def _decide_leak(case: Case) -> Decision:
    rows = [row for row in gap_rows(case) if row.step > 0]
    below = sum(row.gap < -_LEAK_NATS for row in rows)
    is_below = len(rows) >= 3 and below >= _LEAK_SHARE * len(rows)
    side = f"Validation lies below training in {below} of {len(rows)} evaluations"
    both = case.corpus.split_duplicates if case.corpus is not None else ()
    if both:
        names = f"{', '.join(both[:_SHOWN])}{', ...' if len(both) > _SHOWN else ''}"
        return supported(
            _PROVEN_LEAK if is_below else 0.4,  # that they are there says not that they matter
            f"{len(both)} documents stand on both sides of the split ({names}).",
            f"{side}.",
            split_duplicates=len(both),
        )
    if is_below:
        return supported(
            0.3,
            f"{side}: seen texts do that, and so do dropout in training alone, or a training loss "
            "that is a mean over the steps before.",
        )
    return untestable(
        f"{side}; that does not exclude texts on both sides of the split: "
        f"{REMEDIES[Evidence.DATA]}, with the validation part."
    )


def _advise_leak(case: Case, decision: Decision) -> tuple[Advice, ...]:
    return proposed(
        Advice(
            id="dedupe-split",
            title="Remove duplicates, then split by document, and evaluate again",
            reason=decision.evidence[0],
            refuted_by="The validation loss is the same on the clean split.",
            urgency=1 if decision.confidence >= _PROVEN_LEAK else 4,
        )
    )


def _decide_shift(case: Case) -> Decision:
    rows = gap_rows(case)
    if len(rows) < 3:
        return untestable("Fewer than three evaluations have a training loss beside them.")
    if rows[0].step > LATEST_START_STEP:
        return untestable("The gap at the start is not known: evaluate before the first step.")
    gaps = np.array([row.gap for row in rows])
    first, middle = float(gaps[0]), float(np.median(gaps))
    spread = float(np.median(np.abs(gaps - middle)))
    text = (
        f"Validation minus training is {phrases.nats(first)} nats at step {rows[0].step:,} and "
        f"{phrases.nats(middle)} in the median of {len(rows)} evaluations"
    )
    if abs(first) < _SHIFT_NATS:
        return contradicted(0.8, f"{text}: no gap to begin with.", first=first, median=middle)
    if abs(first - middle) > _CONSTANT_SHARE * abs(first) or spread > _CONSTANT_SHARE * abs(first):
        return contradicted(0.6, f"{text}: it is not constant.", first=first, median=middle)
    return supported(
        0.3,  # a part that is harder is common, and explains no event
        f"{text}: one part was harder before anything was learned.",
        first=first,
        median=middle,
    )


def _advise_shift(case: Case, decision: Decision) -> tuple[Advice, ...]:
    return proposed(
        Advice(
            id="split-by-document",
            title="Split by document at random, with a seed",
            reason=decision.evidence[0],
            refuted_by="The gap at step 0 is as large on a random split.",
            urgency=4,
        )
    )


DATA_QUALITY = Rule(
    id="data-quality",
    title="The text that was read there is odd",
    needs=(Evidence.LOG, Evidence.DATA),
    decide=_decide_quality,
    cannot_show="Whether the text did it: replaying the step without it would.",
    experiment="Go on from the checkpoint before with those documents left out.",
    advise=_advise_quality,
)
DUPLICATE_TEXT = Rule(
    id="duplicate-text",
    title="Much of the training text stands there more than once",
    needs=(Evidence.LOG, Evidence.DATA),
    decide=_decide_duplicates,
    cannot_show="How much the copies cost.",
    experiment="Train on the text without copies, for as many tokens.",
    advise=_advise_duplicates,
)
LEAK = Rule(
    id="leak",
    title="Validation texts stand in the training text",
    needs=(Evidence.LOG, Evidence.VALIDATION),
    decide=_decide_leak,
    cannot_show="How much lower the validation loss is for it.",
    experiment="Evaluate on documents written after the training text was gathered.",
    advise=_advise_leak,
)
SPLIT_SHIFT = Rule(
    id="split-shift",
    title="The validation text is another kind of text",
    needs=(Evidence.LOG, Evidence.VALIDATION),
    decide=_decide_shift,
    cannot_show="In what they differ, without the data.",
    experiment="Evaluate the untouched base on both parts.",
    advise=_advise_shift,
)

"""How base and run fail to fit: weights that were not loaded, a tokenizer of another model."""

from __future__ import annotations

import math

from sweeper.diagnosis import phrases
from sweeper.diagnosis.case import Case, Evidence
from sweeper.diagnosis.cause import Advice, Decision, Rule
from sweeper.diagnosis.readings import Start, start_of
from sweeper.diagnosis.remedies import checked_base, proposed
from sweeper.diagnosis.rules.start import (
    FOREIGN_NATS,
    LATE_START,
    fresh_band,
    learns_from_scratch,
    vocabulary_of,
)
from sweeper.diagnosis.verdicts import contradicted, lacking_setting, supported, untestable


def _decide_not_loaded(case: Case) -> Decision:
    missing = case.model.missing if case.model is not None else ()
    if missing:
        return supported(
            0.8,
            f"{len(missing)} tensors that the configuration implies are not in the files "
            f"({', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}): a loader draws them "
            "afresh and only warns.",
        )
    pretrained = _claims_pretrained(case)
    if pretrained is None:
        return lacking_setting(
            "pretrained", "true or false, or give the base with --model; the log cannot tell it"
        )
    if not pretrained:
        return contradicted(0.9, "The run was meant to start from fresh weights.")
    start = start_of(case.curve)
    if start is None:
        return untestable(LATE_START)
    return _claimed_but_blind(case, start)


def _claims_pretrained(case: Case) -> bool | None:
    value = case.config.get("pretrained")
    if isinstance(value, bool):
        return value
    if case.model is not None and case.model.looks_untrained is not None:
        return not case.model.looks_untrained
    return None


def _claimed_but_blind(case: Case, start: Start) -> Decision:
    vocabulary = vocabulary_of(case)
    limit = 0.8 * math.log(vocabulary) if vocabulary else FOREIGN_NATS
    basis = f"0.8 ln {vocabulary:,}" if vocabulary else "no pretrained model on its own text is"
    text = (
        f"The base counts as pretrained; the loss is {phrases.loss(start.loss)} at step "
        f"{start.step:,}, the limit {limit:.2f} ({basis})"
    )
    if start.loss > limit:
        return supported(
            0.75 if vocabulary else 0.6,
            f"{text}: the weights that were trained are not those on disk.",
            start=start.loss,
            limit=limit,
        )
    return contradicted(0.85, f"{text}: it knows something.", start=start.loss, limit=limit)


def _advise_not_loaded(case: Case, decision: Decision) -> tuple[Advice, ...]:
    return proposed(
        checked_base(
            "The base counts as pretrained, and its start says that it is not: load it strictly, "
            "read the loader's warnings, and compare a hash of the weights with the files'."
        )
    )


def _decide_tokenizer(case: Case) -> Decision:
    sizes = _compare_sizes(case)
    if sizes is not None:
        return sizes
    start, vocabulary = start_of(case.curve), vocabulary_of(case)
    if start is None:
        return untestable(LATE_START)
    loss = f"The loss is {phrases.loss(start.loss)} at step {start.step:,}"
    if start.loss < FOREIGN_NATS:
        return contradicted(0.6, f"{loss}: the base can read these tokens.", start=start.loss)
    if vocabulary is None:
        return supported(
            0.2 if learns_from_scratch(case) else 0.35,
            f"{loss}, which a pretrained base also gives on tokens of another tokenizer; an "
            "untrained base fits as well, and --model would tell the two apart.",
            start=start.loss,
        )
    low, high = fresh_band(case, vocabulary)
    band = f"{low:.2f} to {high:.2f} for fresh weights with {vocabulary:,} tokens"
    if low <= start.loss <= high:
        return contradicted(0.5, f"{loss}, within {band}: a mismatch hardly lands there by chance.")
    return supported(
        0.5, f"{loss}, above what any base gives on its own text, and not {band}.", start=start.loss
    )


def _compare_sizes(case: Case) -> Decision | None:
    """The tokenizer beside the base against its embedding; None where it fits or is missing."""
    if case.model is None or case.model.tokenizer_size is None:
        return None
    tokens, rows = case.model.tokenizer_size, case.model.vocab_size
    if tokens <= rows:
        return None
    return supported(
        0.95,
        f"The tokenizer has {tokens:,} tokens, the embedding {rows:,} rows: {tokens - rows:,} ids "
        "have none.",
        tokens=tokens,
        rows=rows,
    )


def _advise_tokenizer(case: Case, decision: Decision) -> tuple[Advice, ...]:
    return proposed(
        checked_base(
            "A tokenizer of another model gives the base ids that mean nothing to it: encode a "
            "sentence with the run's tokenizer, decode it with the base's own, and compare."
        )
    )


WEIGHTS_NOT_LOADED = Rule(
    id="weights-not-loaded",
    title="The pretrained weights were not loaded",
    needs=(Evidence.LOG,),
    decide=_decide_not_loaded,
    cannot_show="Which tensors, unless the files lack them; a hash of the weights settles it.",
    experiment="Hash the weights in the training process before step 0 and compare with the files.",
    advise=_advise_not_loaded,
    explains_stall=True,
)
TOKENIZER_MISMATCH = Rule(
    id="tokenizer-mismatch",
    title="The tokenizer does not belong to the base",
    needs=(Evidence.LOG,),
    decide=_decide_tokenizer,
    cannot_show="Whether an untrained base gives the same start.",
    experiment=(
        "Encode a page with the run's tokenizer and let the base's own decode it: it must come "
        "back word for word."
    ),
    advise=_advise_tokenizer,
    explains_stall=True,
)

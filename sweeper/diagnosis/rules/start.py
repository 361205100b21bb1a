"""What the starting loss says about the base's weights: whether they were ever trained.

Where the loss of a model that knows nothing lies is said in `sweeper.diagnosis.floors`.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from sweeper.curves.series import Series
from sweeper.diagnosis import floors, phrases
from sweeper.diagnosis.case import Case, Evidence
from sweeper.diagnosis.cause import Advice, Decision, Rule
from sweeper.diagnosis.readings import Start, start_of
from sweeper.diagnosis.remedies import checked_base, proposed, trained_embeddings
from sweeper.diagnosis.verdicts import contradicted, lacking_setting, supported, untestable

# A pretrained GPT-2 reads English at 3 to 4 nats a token.
_WORKING_NATS = 4.0
# No model pretrained on text starts here on text in its own tokenizer.
FOREIGN_NATS = 7.0
# ln of a million: no vocabulary is larger.
_LARGEST_UNIFORM_NATS = math.log(1e6)
# Later than this a loss below the band may simply have been learned.
_FRESH_STEPS = 10
_GPT2_VOCABULARY = 50257
_CONTEXT_SHARE = 0.6
LATE_START = "The log shows no loss within its first 100 steps: log from step 0, before any update."


def vocabulary_of(case: Case) -> int | None:
    """Rows of the embedding: by the base, else by the configuration."""
    if case.model is not None:
        return case.model.vocab_size if case.model.vocab_size > 1 else None
    size = case.config.number("vocab_size")
    return int(size) if size is not None and 1 < size < 1e9 else None


def fresh_band(case: Case, vocabulary: int) -> tuple[float, float]:
    """Where the loss of freshly drawn weights lies, in nats, with 0.15 to spare."""
    told = case.config.number("hidden_size")
    if case.model is None:
        return floors.fresh_band(vocabulary, told)
    width, sigma = case.model.hidden_size or told, case.model.initializer_range
    return floors.fresh_band(vocabulary, width, sigma)


def _decide_untrained(case: Case) -> Decision:
    start, vocabulary = start_of(case.curve), vocabulary_of(case)
    if case.model is not None and case.model.looks_untrained is not None:
        return _by_weights(case, start)
    if start is None:
        return untestable(LATE_START)
    if vocabulary is not None:
        return _against_vocabulary(case, start, vocabulary)
    return _without_vocabulary(case, start)


def _by_weights(case: Case, start: Start | None) -> Decision:
    assert case.model is not None
    begin = f" The log starts at {phrases.loss(start.loss)} nats." if start else ""
    evidence = f"{case.model.source}: {case.model.weights_evidence or 'weights examined'}.{begin}"
    loss = start.loss if start else None
    if case.model.looks_untrained:
        return supported(0.97, f"The weights on disk look freshly drawn. {evidence}", start=loss)
    return contradicted(0.9, f"The weights on disk do not look freshly drawn. {evidence}")


def _against_vocabulary(case: Case, start: Start, vocabulary: int) -> Decision:
    low, high = fresh_band(case, vocabulary)
    uniform = math.log(vocabulary)
    since = _learned_since(case, start)
    compared = (
        f"The loss is {phrases.loss(start.loss)} at step {start.step:,}; freshly drawn weights "
        f"with {vocabulary:,} tokens start between {low:.2f} and {high:.2f} (ln {vocabulary:,} is "
        f"{uniform:.2f})"
    )
    numbers = {"start": start.loss, "uniform": uniform, "low": low, "high": high}
    if low <= start.loss <= high:
        known = f"{compared}: what a model that knows nothing gives."
        return supported(0.85, known, *since, **numbers)
    if start.loss > high:
        return contradicted(
            0.7,
            f"{compared}: it is worse than a blind guess, so something else is wrong.",
            **numbers,
        )
    if start.step > _FRESH_STEPS and start.loss > _WORKING_NATS:
        return untestable(f"{compared}, but by then some of it may have been learned.", **numbers)
    return contradicted(0.9 if start.loss < 0.8 * uniform else 0.6, f"{compared}.", **numbers)


def _without_vocabulary(case: Case, start: Start) -> Decision:
    loss = f"The loss is {phrases.loss(start.loss)} at step {start.step:,}"
    if start.loss <= _WORKING_NATS:
        return contradicted(
            0.6, f"{loss}: what a pretrained model reads text at (3 to 4 nats or less)."
        )
    if start.loss > _LARGEST_UNIFORM_NATS:
        return contradicted(
            0.5,
            f"{loss}: more than a blind guess among a million tokens, so fresh weights alone do "
            "not explain it.",
        )
    if start.loss < FOREIGN_NATS:
        return lacking_setting(
            "vocab_size",
            f"or the base with --model: {phrases.loss(start.loss)} nats is a blind guess among "
            f"{_about(math.exp(start.loss)):,.0f} tokens, which a small vocabulary may have",
        )
    implied = _about(math.exp(start.loss))
    narrower = _about(math.exp(start.loss - floors.GPT2_WIDTH * floors.GPT2_SIGMA**2 / 2))
    return supported(
        0.6 if start.loss >= FOREIGN_NATS + 1 else 0.45,
        f"{loss}: a blind guess among about {implied:,.0f} tokens (ln {implied:,.0f} is "
        f"{math.log(implied):.2f}), or among {narrower:,.0f} with GPT-2's own fresh weights, which "
        "start 0.15 higher.",
        "That excludes a working GPT-2 on English, 3 to 4 nats: no pretrained model starts above "
        "7 nats on text in its own tokenizer.",
        _about_gpt2(start.loss),
        "The vocabulary is not known (--config vocab_size, or --model): with it this could be "
        "told from a foreign tokenizer.",
        *_learned_since(case, start),
        start=start.loss,
        implied_vocabulary=implied,
    )


def lowest_loss(case: Case) -> float | None:
    """The lowest finite loss: of the validation set where there is one."""
    for name in ("val_loss", "train_loss"):
        values = Series.of(case.curve, name).values
        if len(values):
            return float(np.min(values))
    return None


def learns_from_scratch(case: Case) -> bool:
    """Whether the loss has come down below what the frequencies of tokens alone can give.

    They give some 0.7 to 0.8 of the uniform guess: 7.6 of 10.8 nats for GPT-2's tokens on English.
    """
    start, lowest = start_of(case.curve), lowest_loss(case)
    return start is not None and lowest is not None and lowest < _CONTEXT_SHARE * start.loss


def _learned_since(case: Case, start: Start) -> tuple[str, ...]:
    if not learns_from_scratch(case):
        return ()
    return (
        f"Since then the loss has come down to {phrases.loss(lowest_loss(case))}: if training from "
        "scratch was meant, that is as it should be.",
    )


def _about(count: float) -> float:
    """Four digits: a start is the mean of a few batches."""
    return float(f"{count:.4g}")


def _about_gpt2(loss: float) -> str:
    uniform = math.log(_GPT2_VOCABULARY)
    low, high = floors.fresh_band(_GPT2_VOCABULARY)
    fits = low <= loss <= high
    verb = "It fits" if fits else "It also excludes"
    return f"{verb} a blind guess over GPT-2's {_GPT2_VOCABULARY:,} tokens, {uniform:.2f} nats."


def _advise_untrained(case: Case, decision: Decision) -> tuple[Advice, ...]:
    start = decision.numbers.get("start")
    begin = f"The run starts at {phrases.loss(start)} nats" if start else "The base looks untrained"
    if learns_from_scratch(case):
        meant = f"{begin}, as fresh weights do, and learns: check that it was meant to."
        return proposed(replace(checked_base(meant), urgency=3))
    return proposed(
        checked_base(
            f"{begin}; a working GPT-2 reads English at 3 to 4. An adapter on an untrained base "
            "cannot learn what pretraining gives, at any rate, batch or schedule: this comes "
            "before every hyperparameter."
        ),
        trained_embeddings(
            case,
            "If the base must stay untrained, and they are not trained already: a low-rank adapter "
            "cannot place the tokens, whose embeddings are random and frozen. Trained from such a "
            "base, an adapter alone stayed 0.7 to 0.9 nats above the tokens' unigram entropy, with "
            "embeddings and norms it fell 1.9 nats below (a 3-layer model, one seed).",
        ),
    )


UNTRAINED_BASE = Rule(
    id="untrained-base",
    title="The base was never trained",
    needs=(Evidence.LOG,),
    decide=_decide_untrained,
    cannot_show="Whether the weights are random or the tokenizer does not belong to them.",
    experiment=(
        "Evaluate the untouched base on plain English with its own tokenizer: a pretrained GPT-2 "
        "gives 3 to 4 nats a token, an untrained one ln(vocabulary)."
    ),
    advise=_advise_untrained,
    explains_stall=True,
)

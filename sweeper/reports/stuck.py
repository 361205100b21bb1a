"""Where hyperparameters are not the problem: what is, with the numbers that say so.

A study that searches rates and batches on a base that knows nothing ends with a best recipe all
the same. Two marks tell it: the base starts as fresh weights do, or no trial of the adapter alone
comes below what the frequencies of tokens give without any context.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from sweeper.diagnosis.cause import Verdict
from sweeper.diagnosis.floors import Floors
from sweeper.reports import words
from sweeper.search.results import StudyResults, TrialResult

_TRAIN_THEM = "train_also: [embeddings, norms]"


@dataclass(frozen=True)
class StuckCause:
    """One possible cause, what the study says of it, and why."""

    name: str
    verdict: Verdict
    evidence: str


@dataclass(frozen=True)
class Stuck:
    """Why a study is stuck; plain texts.

    Attributes:
        headline: What is not the problem, and the numbers.
        causes: What may be, each judged.
        advice: What to do next.
    """

    headline: str
    causes: tuple[StuckCause, ...]
    advice: str


@dataclass(frozen=True)
class _Reached:
    """The lowest validation loss that some trials came to after any training."""

    loss: float
    trial: TrialResult


@dataclass(frozen=True)
class _Facts:
    """All that is judged.

    Attributes:
        start: The base's own validation loss, in nats.
        alone: Of each trial that trained the adapter alone, the lowest loss; the best first.
        embedded: The best of those that trained the embeddings too.
    """

    floors: Floors
    start: float
    alone: tuple[_Reached, ...]
    embedded: _Reached | None

    @property
    def is_blind(self) -> bool:
        return self.floors.is_blind(self.start)

    @property
    def adapter_stays_above(self) -> bool:
        return bool(self.alone) and self.floors.is_context_free(self.alone[0].loss)

    @property
    def embeddings_help(self) -> bool:
        return self.embedded is not None and not self.floors.is_context_free(self.embedded.loss)


def why_stuck(results: StudyResults) -> Stuck | None:
    """Why no hyperparameter helps; None where they may, or where too little is known."""
    facts = _facts_of(results)
    if facts is None:
        return None
    starts_above = facts.floors.is_context_free(facts.start)
    if not (facts.is_blind or (starts_above and facts.adapter_stays_above)):
        return None
    return Stuck(
        headline=_headline(facts),
        causes=(_of_weights(facts), _of_embeddings(facts), _of_tokenizer(facts), _of_rates(facts)),
        advice=_advice(facts),
    )


def _facts_of(results: StudyResults) -> _Facts | None:
    baseline = results.baseline
    if results.floors is None or baseline is None or not baseline.curve.points:
        return None
    start = baseline.curve.points[0].val_loss
    if start is None or not math.isfinite(start):
        return None
    alone = _lowest(t for t in results.trials if not _trained_also(t))
    embedded = _lowest(t for t in results.trials if "embeddings" in _trained_also(t))
    return _Facts(results.floors, start, alone, embedded[0] if embedded else None)


def _trained_also(trial: TrialResult) -> str:
    return str(trial.hyperparameters.get("train_also", ""))


def _lowest(trials: Iterable[TrialResult]) -> tuple[_Reached, ...]:
    """The lowest finite loss of each after step 0, the best first."""
    found = []
    for trial in trials:
        losses = [
            point.val_loss
            for point in trial.curve.evaluations()
            if point.step > 0 and point.val_loss is not None and math.isfinite(point.val_loss)
        ]
        if losses:
            found.append(_Reached(min(losses), trial))
    return tuple(sorted(found, key=lambda reached: (reached.loss, reached.trial.number)))


def _headline(facts: _Facts) -> str:
    floor = words.nats(facts.floors.unigram_nats)
    start = f"the base starts at {words.nats(facts.start)} nats"
    if facts.is_blind:
        start += f", a blind guess among its {_uniform(facts.floors)}"
    if not facts.alone:
        return f"Hyperparameters are not the problem: {start}."
    best = facts.alone[0].loss
    if not facts.adapter_stays_above:
        return (
            f"Hyperparameters are not the first problem: {start}. The adapter alone came to "
            f"{words.nats(best)}, {words.nats(facts.floors.unigram_nats - best)} below what the "
            f"frequencies of tokens give without any context ({floor})."
        )
    text = (
        f"Hyperparameters are not the problem: {start}, and {_none_of(len(facts.alone))} that "
        f"train the adapter alone came below {floor}, what the frequencies of tokens give without "
        f"any context; the lowest is {words.nats(best)}."
    )
    return f"{text} {_rescue(facts)}" if facts.embeddings_help else text


def _none_of(amount: int) -> str:
    return "no trial of those" if amount == 1 else f"none of the {amount} trials"


def _uniform(floors: Floors) -> str:
    return f"{floors.vocabulary:,} tokens (ln {floors.vocabulary:,} = {floors.uniform_nats:.3f})"


def _rescue(facts: _Facts) -> str:
    """What the best trial that trained the embeddings too came to."""
    assert facts.embedded is not None
    below = facts.floors.unigram_nats - facts.embedded.loss
    return (
        f"Trial {facts.embedded.trial.number}, which trains the embeddings too, reached "
        f"{words.nats(facts.embedded.loss)}, {words.nats(below)} below it."
    )


def _of_weights(facts: _Facts) -> StuckCause:
    low, high = facts.floors.fresh_band
    seen = words.clean(facts.floors.weights_evidence, 300) or "weights not examined"
    start = (
        f"Fresh weights start between {low:.2f} and {high:.2f} nats, this base at "
        f"{words.nats(facts.start)}"
    )
    if facts.floors.looks_untrained is None:
        verdict = Verdict.SUPPORTED if facts.is_blind else Verdict.UNTESTABLE
    else:
        verdict = Verdict.SUPPORTED if facts.floors.looks_untrained else Verdict.CONTRADICTED
    return StuckCause("the base was never trained", verdict, f"{start}; {seen}.")


def _of_embeddings(facts: _Facts) -> StuckCause:
    name = "the embeddings are frozen, only the adapter learns"
    if facts.embedded is None:
        untold = f"No trial trained them; a hypothesis with {_TRAIN_THEM} would tell."
        return StuckCause(name, Verdict.UNTESTABLE, untold)
    if not facts.alone:
        untold = "No trial trained the adapter alone to compare with."
        return StuckCause(name, Verdict.UNTESTABLE, untold)
    gain = facts.alone[0].loss - facts.embedded.loss
    text = (
        f"Trial {facts.embedded.trial.number} trains {_trained_also(facts.embedded.trial)} too and "
        f"reached {words.nats(facts.embedded.loss)}, {words.nats_change(-gain)} nats from the best "
        f"of the adapter alone (trial {facts.alone[0].trial.number})"
    )
    if facts.embeddings_help:
        by_pairs = facts.floors.bigram_nats
        return StuckCause(
            name,
            Verdict.SUPPORTED,
            f"{text}, and below the frequencies' {words.nats(facts.floors.unigram_nats)} (by the "
            f"token before: {words.nats(by_pairs)}).",
        )
    return StuckCause(name, Verdict.CONTRADICTED, f"{text}: not below the frequencies either.")


def _of_tokenizer(facts: _Facts) -> StuckCause:
    name = "the tokenizer does not belong to the weights"
    if facts.floors.looks_untrained:
        moot = "Freshly drawn weights belong to no tokenizer: with any other they start as blind."
        return StuckCause(name, Verdict.CONTRADICTED, moot)
    test = "the untouched base must read plain English at 3 to 4 nats a token with its tokenizer"
    if facts.floors.looks_untrained is None:
        return StuckCause(name, Verdict.UNTESTABLE, f"The weights are not known; {test}.")
    return StuckCause(
        name,
        Verdict.SUPPORTED,
        f"The weights were trained, and yet read this corpus at {words.nats(facts.start)} nats, no "
        f"better than by frequencies ({words.nats(facts.floors.unigram_nats)}). What decides: "
        f"{test}.",
    )


def _of_rates(facts: _Facts) -> StuckCause:
    name = "the hyperparameters"
    if not facts.alone:
        return StuckCause(name, Verdict.UNTESTABLE, "No trial has been evaluated after a step.")
    losses = [reached.loss for reached in facts.alone]
    text = (
        f"{words.plural(len(losses), 'trial')} of the adapter alone{_rates(facts.alone)}: lowest "
        f"losses from {words.nats(losses[0])} to {words.nats(losses[-1])}"
    )
    if facts.adapter_stays_above:
        return StuckCause(name, Verdict.CONTRADICTED, f"{text}, none below the frequencies'.")
    return StuckCause(
        name,
        Verdict.UNTESTABLE,
        f"{text}; what they can do is told on a base that knows something.",
    )


def _rates(reached: tuple[_Reached, ...]) -> str:
    rates = [
        rate
        for one in reached
        if isinstance(rate := one.trial.hyperparameters.get("learning_rate"), float)
    ]
    if len(set(rates)) < 2:
        return ""
    return f", learning rates {words.value_words(min(rates))} to {words.value_words(max(rates))}"


def _advice(facts: _Facts) -> str:
    if facts.floors.looks_untrained is False:
        return (
            "Evaluate the untouched base on plain English with its own tokenizer before anything "
            "else. If it reads that at 3 to 4 nats a token, this corpus is in another language or "
            "format than the base knows; if not, weights and tokenizer do not belong together."
        )
    done = (
        f", as trial {facts.embedded.trial.number} did"
        if facts.embeddings_help and facts.embedded
        else ""
    )
    return (
        f"Take a base that was pretrained (model: gpt2): before any training it reads text below "
        "what frequencies give. If this base must be trained from where it is, train its "
        f"embeddings and norms beside the adapter ({_TRAIN_THEM}){done}, or all weights. Then "
        "search the hyperparameters."
    )

"""What a plateau's height tells: whether context is used at all, and what one log cannot tell."""

from __future__ import annotations

from sweeper.diagnosis import phrases
from sweeper.diagnosis.case import Case, CorpusFacts, Evidence
from sweeper.diagnosis.cause import Advice, Decision, Rule
from sweeper.diagnosis.floors import is_at_unigrams
from sweeper.diagnosis.readings import main_plateau, plateau_level, whole_number
from sweeper.diagnosis.remedies import checked_base, proposed, trained_embeddings
from sweeper.diagnosis.verdicts import NO_PLATEAU, contradicted, supported, untestable


def _decide_unigram(case: Case) -> Decision:
    plateau, corpus = main_plateau(case), case.corpus
    if plateau is None:
        return contradicted(0.7, NO_PLATEAU)
    assert corpus is not None
    level = plateau_level(case, plateau)
    if level is None:
        return untestable("The plateau has no finite loss to compare.")
    if not corpus.is_exact:
        return untestable(
            f"The corpus was counted in tokens of {corpus.tokenizer}, not the run's own: nats a "
            "token do not compare. Give the base with its tokenizer by --model."
        )
    return _against_entropy(corpus, level, plateau.numbers.get("noise_nats", 0.0))


def _against_entropy(corpus: CorpusFacts, level: float, noise: float) -> Decision:
    floor, mark = corpus.unigram_nats, corpus.bigram_nats
    text = (
        f"The plateau lies at {phrases.loss(level)} nats; predicting {corpus.source} by token "
        f"frequency alone gives {phrases.loss(floor)}, by the token before {phrases.loss(mark)}"
    )
    numbers = {"level": level, "unigram_nats": floor, "bigram_nats": mark}
    if is_at_unigrams(level, floor, noise):
        return supported(
            0.9, f"{text}: it knows no more than how frequent each token is.", **numbers
        )
    if level >= mark:
        return contradicted(0.8, f"{text}: some context is used, less than one token.", **numbers)
    return contradicted(0.95, f"{text}: more than one token of context is used.", **numbers)


def _advise_unigram(case: Case, decision: Decision) -> tuple[Advice, ...]:
    reason = f"{decision.evidence[0]} A pretrained base is far below that before any training."
    return proposed(checked_base(reason), trained_embeddings(case, reason))


def _decide_capacity(case: Case) -> Decision:
    if main_plateau(case) is None:
        return contradicted(0.6, f"{NO_PLATEAU} The model has not come to its limit.")
    rank = whole_number(case.config, "rank")
    at = f" (here {rank})" if rank else ""
    return untestable(
        f"One log has one rank{at}: only a sweep of the rank, each at its own best learning rate, "
        "tells a limit of capacity from a recipe that does not reach it."
    )


UNIGRAM_FLOOR = Rule(
    id="unigram-floor",
    title="The model has learned how frequent tokens are, and nothing else",
    needs=(Evidence.LOG, Evidence.DATA),
    decide=_decide_unigram,
    cannot_show="Why the context is not used.",
    experiment="Shuffle the tokens within each block: a loss that stays the same names it.",
    advise=_advise_unigram,
    explains_stall=True,
)
CAPACITY = Rule(
    id="capacity",
    title="The adapter is too small for the task",
    needs=(Evidence.LOG,),
    decide=_decide_capacity,
    cannot_show="Anything from one log.",
    experiment="Sweep the rank (8, 32, 128) with the learning rate tuned for each.",
    explains_stall=True,
)

"""What the training text says about itself, and what of it was read at an event."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sweeper.data import Document, bigram_entropy, read_corpus, unigram_entropy
from sweeper.diagnosis.case import CorpusFacts, DuplicateGroup, Passage, RepeatedSection, RunConfig
from sweeper.diagnosis.drift import find_drift
from sweeper.diagnosis.duplicates import (
    Group,
    Repeat,
    find_exact_duplicates,
    find_near_duplicates,
    find_repeats,
)
from sweeper.diagnosis.model import base_folder
from sweeper.diagnosis.passages import Oddities, choose_passages, find_oddities, pieces_in_order
from sweeper.diagnosis.text import WORDS, TokenText, tokenize_text
from sweeper.models.bare_tokenizer import BareTokenizer, read_bare_tokenizer

Events = Mapping[int, tuple[Passage, ...]]
# An event step, and the step after which what led to it began: the point before it in the log.
EventSteps = Mapping[int, int]
Remembered = Callable[[TokenText, Oddities], Events]


def read_corpus_facts(
    source: str,
    folder: Path,
    *,
    model: str | None,
    config: RunConfig,
    event_steps: EventSteps,
    model_folder: Path | None = None,
) -> CorpusFacts:
    """Read a corpus and look at it from all sides.

    Without a model the tokens are words and punctuation. On prose these come near to GPT-2's
    tokens in number, so positions of events are roughly right; on code they are less so. `is_exact`
    says so.

    Args:
        source: As `sweeper.data.read_corpus` takes it.
        folder: What a relative path is relative to.
        model: The base whose tokenizer the run used, if it is known.
        config: Says how many tokens a step reads; without it there are no events.
        event_steps: Event steps, each with the step before it from which on it may have begun.
        model_folder: What a relative directory of the model is relative to, if not to `folder`.

    Raises:
        DataError: The corpus cannot be read, or is too short.
        BaseError: The model cannot be found, or has no tokenizer.
    """
    corpus = read_corpus(source, folder)
    tokenizer = None
    if model is not None:
        place = base_folder(model, folder if model_folder is None else model_folder)
        tokenizer = read_bare_tokenizer(place, model)

    def remember(text: TokenText, oddities: Oddities) -> Events:
        return _events_in_order(text, oddities, config.tokens_per_step, event_steps)

    return look_at(source, corpus.documents, tokenizer, model, remember)


def look_at(
    source: str,
    documents: Sequence[Document],
    tokenizer: BareTokenizer | None,
    model: str | None,
    remember: Remembered,
) -> CorpusFacts:
    """All facts about some documents.

    Args:
        source: What messages call them.
        documents: In the order of the corpus.
        tokenizer: The run's; None for words.
        model: What the tokenizer belongs to.
        remember: Says what was read at the events, knowing what is odd about which document.
    """
    text = tokenize_text(documents, tokenizer)
    exact = find_exact_duplicates(documents)
    near = find_near_duplicates(text, exact)
    copies = frozenset(number for group in (*exact, *near) for number in group.documents[1:])
    repeats = find_repeats(text, copies)
    drift = find_drift(text)
    tokens = text.without_ends
    return CorpusFacts(
        source=source,
        num_documents=len(documents),
        num_tokens=int(text.tokens.size),
        tokenizer=f"the tokenizer of {model}" if tokenizer else WORDS,
        is_exact=tokenizer is not None,
        vocab_size=text.vocab_size,
        unigram_nats=unigram_entropy(tokens, text.vocab_size),
        bigram_nats=bigram_entropy(tokens, text.vocab_size),
        exact_duplicates=_named(exact, text.names),
        near_duplicates=_named(near, text.names),
        repeated_sections=tuple(_section(text, repeat) for repeat in repeats),
        drift=drift,
        events=remember(text, find_oddities(text, exact, near, repeats, drift)),
    )


def _named(groups: Sequence[Group], names: Sequence[str]) -> tuple[DuplicateGroup, ...]:
    return tuple(
        DuplicateGroup(tuple(names[number] for number in group.documents), group.similarity)
        for group in groups
    )


def _section(text: TokenText, repeat: Repeat) -> RepeatedSection:
    documents = [text.document_at(position) for position in repeat.positions]
    return RepeatedSection(
        text.excerpt(repeat.positions[0], repeat.num_tokens),
        repeat.num_tokens,
        tuple(dict.fromkeys(text.names[document] for document in documents)),
        repeat.positions,
    )


def _events_in_order(
    text: TokenText, oddities: Oddities, tokens_per_step: int | None, event_steps: EventSteps
) -> Events:
    """What a run that reads front to back had before it at each event."""
    if tokens_per_step is None:
        return {}
    return {
        step: choose_passages(
            pieces_in_order(text, before * tokens_per_step, step * tokens_per_step),
            oddities,
            text.names,
        )
        for step, before in event_steps.items()
        if before < step
    }

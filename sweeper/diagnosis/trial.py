"""What one of our own runs knows of itself: its plan, and which documents each batch held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from sweeper.data import (
    SEGMENT_TOKENS,
    Document,
    Split,
    TokenStream,
    read_corpus,
    split_documents,
    tokenize_documents,
)
from sweeper.diagnosis.case import CorpusFacts
from sweeper.diagnosis.corpus import Events, EventSteps, look_at
from sweeper.diagnosis.duplicates import find_near_duplicates
from sweeper.diagnosis.model import base_folder
from sweeper.diagnosis.passages import Oddities, Piece, choose_passages
from sweeper.diagnosis.places import MANIFEST
from sweeper.diagnosis.text import TokenText, tokenize_text
from sweeper.errors import CheckpointError
from sweeper.models.bare_tokenizer import BareTokenizer, read_bare_tokenizer
from sweeper.study import DataSpec, Hyperparameters


class _Plan(BaseModel):
    """The part of a manifest's plan that says what a batch was made of."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    model: str
    data: DataSpec
    split_seed: int
    tokens: int
    hyperparameters: Hyperparameters


class _Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    plan: _Plan


@dataclass(frozen=True)
class Trial:
    """One of our own runs.

    Attributes:
        folder: Where its manifest lies; paths in it are relative to that.
        model: Its base.
        data: Its corpus, and how that is split.
        split_seed: Draws the split.
        hyperparameters: Its recipe.
        tokens: Its budget.
    """

    folder: Path
    model: str
    data: DataSpec
    split_seed: int
    hyperparameters: Hyperparameters
    tokens: int


def read_trial(folder: Path) -> Trial | None:
    """Read a run's plan; None if a command of the user's trained it, which knows its own data.

    Raises:
        CheckpointError: The manifest is damaged.
    """
    path = folder / MANIFEST
    try:
        plan = _Manifest.model_validate_json(path.read_bytes()).plan
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        if _is_of_a_command(error):
            return None
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise CheckpointError(
            f"{path}: not a manifest that this version reads ({place}: {first['msg']})"
        ) from error
    return Trial(folder, plan.model, plan.data, plan.split_seed, plan.hyperparameters, plan.tokens)


def _is_of_a_command(error: ValidationError) -> bool:
    """Whether all that is wrong is that there is no base or corpus of ours."""
    ours = {("plan", "model"), ("plan", "data"), ("plan", "split_seed")}
    return all(details["loc"][:2] in ours for details in error.errors())


def read_trial_corpus(trial: Trial, event_steps: EventSteps) -> CorpusFacts:
    """The facts about a run's training documents, and its very batches at the events.

    Args:
        trial: The run.
        event_steps: Event steps, each with the step after which its batches begin.

    Raises:
        DataError: The corpus has gone, or no longer has text.
        BaseError: The base has gone; its tokenizer is needed to place a token.
    """
    corpus = read_corpus(trial.data.train, trial.folder, format=trial.data.format)
    data = trial.data
    split = split_documents(
        corpus.documents, validation=data.validation, test=data.test, seed=trial.split_seed
    )
    tokenizer = read_bare_tokenizer(base_folder(trial.model, trial.folder), trial.model)
    stream = _stream(trial, split.train, tokenizer)
    tokens_per_step = trial.hyperparameters.tokens_per_step

    def remember(text: TokenText, oddities: Oddities) -> Events:
        return {
            step: choose_passages(
                _pieces(stream, before * tokens_per_step, step * tokens_per_step),
                oddities,
                text.names,
            )
            for step, before in event_steps.items()
            if before < step
        }

    facts = look_at(trial.data.train, split.train, tokenizer, trial.model, remember)
    both = _on_both_sides(split, tokenizer)
    return replace(facts, order_is_known=True, split_duplicates=both)


def _stream(trial: Trial, documents: Sequence[Document], tokenizer: BareTokenizer) -> TokenStream:
    """The run's own: the same documents, segments and seed as in training."""
    tokenized = tokenize_documents(
        documents,
        tokenizer.tokenizer,
        segment_tokens=SEGMENT_TOKENS,
        end_of_text_id=tokenizer.end_of_text_id or 0,  # places do not depend on it
        loss_on=trial.data.loss_on,
    )
    seed = trial.hyperparameters.seed
    return TokenStream(tokenized, seed=trial.split_seed if seed is None else seed)


def _pieces(stream: TokenStream, start: int, end: int) -> Iterator[Piece]:
    position = start
    for place, num_tokens in stream.passages(start, end - start):
        yield Piece(place.document, position, num_tokens, place.epoch)
        position += num_tokens


def _on_both_sides(split: Split, tokenizer: BareTokenizer) -> tuple[str, ...]:
    """Documents that have a near copy on the other side of the split; equal ones never do."""
    num_train = len(split.train)
    text = tokenize_text((*split.train, *split.validation, *split.test), tokenizer)
    across = (
        group.documents
        for group in find_near_duplicates(text)
        if group.documents[0] < num_train <= group.documents[-1]
    )
    return tuple(text.names[number] for documents in across for number in documents)

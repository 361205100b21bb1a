"""What all trials of a study stand on, in words: base, corpus and how they are judged.

Nothing here needs torch: whoever only starts those who train does not wait for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sweeper.data import Corpus, Split, read_corpus, split_documents
from sweeper.study import CommandEngine, DataSpec, EvaluateSpec, StudySpec


@dataclass(frozen=True)
class Ground:
    """What a study's trials stand on; two equal ones make equal trials comparable.

    Attributes:
        model: The base, as the study names it.
        data: The corpus and how it is split.
        evaluate: How trials are judged, and on which side of the split.
        seed: The study's seed; draws the split.
        folder: What relative paths are relative to.
    """

    model: str
    data: DataSpec
    evaluate: EvaluateSpec
    seed: int
    folder: Path


def ground_of(spec: StudySpec) -> Ground:
    """What all trials of a study stand on."""
    model, data = spec.base_and_data
    return Ground(model, data, spec.evaluate, spec.seed, spec.folder)


def engine_of(spec: StudySpec) -> Literal["auto", "packed", "peft"]:
    """Which of our own engines a study asks for; one of a command asks for none."""
    engine = spec.engine
    assert not isinstance(engine, CommandEngine), "a command has a trainer of its own"
    return engine


def check_corpus(ground: Ground) -> None:
    """Read and split the corpus: a second, before minutes are spent on making a base.

    Raises:
        DataError: The corpus cannot be used.
    """
    split_corpus(ground)


def split_corpus(ground: Ground) -> tuple[Corpus, Split]:
    """The corpus of a ground and its sides, none of them tokenized.

    Raises:
        DataError: The corpus cannot be used.
    """
    corpus = read_corpus(ground.data.train, ground.folder, format=ground.data.format)
    data = ground.data
    split = split_documents(
        corpus.documents, validation=data.validation, test=data.test, seed=ground.seed
    )
    return corpus, split

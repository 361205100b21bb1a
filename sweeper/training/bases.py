"""Finds a study's base, and has an embedded one made where nobody has yet."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sweeper.data import read_corpus
from sweeper.errors import BaseError
from sweeper.models.base import Base, find_base, is_builtin
from sweeper.models.embedded import GENERAL_TEXT, embedded_folder, pretraining_steps
from sweeper.training.trainer import Report


def prepare_base(source: str, study_folder: Path, report: Report) -> Base:
    """Find a base, or make it: `builtin:tiny` is pretrained on the first use.

    Args:
        source: `builtin:tiny`, `builtin:untrained`, a directory, or a hub name.
        study_folder: What a relative directory is relative to.
        report: Told of the pretraining's progress.

    Raises:
        BaseError: It cannot be found or made.
    """
    if not is_builtin(source):
        return find_base(source, study_folder)
    corpus = read_corpus(GENERAL_TEXT, study_folder)
    folder = embedded_folder(source, corpus.fingerprint)
    if not folder.is_dir():
        from sweeper.training.pretrain import (
            make_base,  # with torch, which a found one does without
        )

        with _locked(folder):
            if not folder.is_dir():
                texts = [document.text for document in corpus.documents]
                make_base(folder, texts, pretraining_steps(source), report)
    return Base(source, folder)


def find_cached_base(source: str, study_folder: Path) -> Base | None:
    """A base that is at hand; None for an embedded one that has not been made yet.

    Raises:
        BaseError: It cannot be found.
    """
    if not is_builtin(source):
        return find_base(source, study_folder)
    folder = embedded_folder(source, read_corpus(GENERAL_TEXT, study_folder).fingerprint)
    return Base(source, folder) if folder.is_dir() else None


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process makes a base; others that want the same one wait for it."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = folder.with_suffix(".lock").open("w")
    except OSError as error:
        raise BaseError(
            f"the cache {folder.parent} cannot be written ({error.strerror}); "
            "set SWEEPER_CACHE to a folder that can"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

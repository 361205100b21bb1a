"""Makes the embedded bases: trains the tiny GPT-2 once, and keeps it by content."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

from sweeper.data import (
    SEGMENT_TOKENS,
    TokenStream,
    read_corpus,
    tokenize_documents,
    training_blocks,
)
from sweeper.errors import BaseError
from sweeper.models.base import (
    Base,
    find_base,
    is_builtin,
    load_tokenizer,
    quiet_transformers,
)
from sweeper.models.embedded import (
    GENERAL_TEXT,
    RECIPE,
    SEED,
    embedded_folder,
    pretraining_steps,
)
from sweeper.models.tiny import new_tiny_model, write_tiny_tokenizer
from sweeper.study.schedule import learning_rate_at
from sweeper.training.device import seed_everything
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
        quiet_transformers()
        with _locked(folder):
            if not folder.is_dir():
                _make(folder, [d.text for d in corpus.documents], pretraining_steps(source), report)
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


def _make(folder: Path, texts: list[str], steps: int, report: Report) -> None:
    """Build in a folder beside, then rename: a killed pretraining leaves no half base."""
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    write_tiny_tokenizer(texts, unfinished)
    model = new_tiny_model(SEED)
    model.save_pretrained(unfinished)  # the tokenizer is checked against config.json
    if steps:
        _pretrain(model, Base("builtin:tiny", unfinished), steps, report)
        model.save_pretrained(unfinished)
    unfinished.replace(folder)


def _pretrain(model: torch.nn.Module, base: Base, steps: int, report: Report) -> None:
    tokenizer = load_tokenizer(base)
    documents = read_corpus(GENERAL_TEXT, base.folder).documents
    tokenized = tokenize_documents(
        documents,
        tokenizer.tokenizer,
        segment_tokens=SEGMENT_TOKENS,
        end_of_text_id=tokenizer.end_of_text_id,
    )
    stream = TokenStream(tokenized, seed=SEED)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=RECIPE.weight_decay)
    tokens_per_step = RECIPE.tokens_per_step
    seed_everything(SEED)
    model.train()
    for step in range(steps):
        batch = training_blocks(
            stream,
            start_tokens=step * tokens_per_step,
            num_blocks=RECIPE.batch_size,
            block_size=RECIPE.block_size,
        )
        logits = model(input_ids=torch.from_numpy(batch.inputs), use_cache=False).logits
        loss = cross_entropy(logits.flatten(0, 1), torch.from_numpy(batch.targets).flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), RECIPE.clip_norm or float("inf"))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, steps, RECIPE)
        optimizer.step()
        optimizer.zero_grad()
        report("pretraining builtin:tiny (once)", step + 1, steps)

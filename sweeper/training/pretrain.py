"""Makes the embedded bases: trains the tiny GPT-2."""

from __future__ import annotations

import shutil
from collections.abc import Callable
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
from sweeper.models.base import (
    Base,
    load_tokenizer,
    quiet_transformers,
)
from sweeper.models.embedded import (
    GENERAL_TEXT,
    RECIPE,
    SEED,
)
from sweeper.models.tiny import new_tiny_model, write_tiny_tokenizer
from sweeper.study.schedule import learning_rate_at
from sweeper.training.device import seed_everything
from sweeper.training.trainer import Report


def make_base(folder: Path, texts: list[str], steps: int, report: Report) -> None:
    """Make the tiny GPT-2 in a folder, which is there when it is whole and not before.

    Args:
        folder: To be.
        texts: What its tokenizer learns from.
        steps: Of pretraining; 0 leaves random weights.
        report: Told of the pretraining's progress.
    """
    quiet_transformers()
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    write_tiny_tokenizer(texts, unfinished)
    model = new_tiny_model(SEED)
    model.save_pretrained(unfinished)  # the tokenizer is checked against config.json
    if steps:
        base = Base("builtin:tiny", unfinished)
        pretrain(model, base, steps, lambda n, m: report("pretraining builtin:tiny (once)", n, m))
        model.save_pretrained(unfinished)
    unfinished.replace(folder)


def pretrain(
    model: torch.nn.Module, base: Base, steps: int, report: Callable[[int, int], None]
) -> None:
    """Train all weights of a model on general text, in the device and threads as they are.

    Args:
        model: A causal one, in fp32.
        base: Where its configuration and tokenizer lie.
        steps: Of `RECIPE`, its blocks shortened to the positions that the base has.
        report: Told of every step, and of how many.
    """
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
    block_size = min(RECIPE.block_size, base.max_block_size or RECIPE.block_size)
    tokens_per_step = RECIPE.batch_size * block_size
    seed_everything(SEED)
    model.train()
    for step in range(steps):
        batch = training_blocks(
            stream,
            start_tokens=step * tokens_per_step,
            num_blocks=RECIPE.batch_size,
            block_size=block_size,
        )
        logits = model(input_ids=torch.from_numpy(batch.inputs), use_cache=False).logits
        loss = cross_entropy(logits.flatten(0, 1), torch.from_numpy(batch.targets).flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), RECIPE.clip_norm or float("inf"))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, steps, RECIPE)
        optimizer.step()
        optimizer.zero_grad()
        report(step + 1, steps)

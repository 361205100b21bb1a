"""The smallest base and corpus that a run can be trained on: some steps take milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel

from sweeper.models.base import Base, load_tokenizer
from sweeper.models.tiny import write_tiny_tokenizer
from sweeper.study import DataSpec, EvaluateSpec, Hyperparameters
from sweeper.training.device import find_device
from sweeper.training.ground import Ground
from sweeper.training.workbench import Workbench, lay_out

VOCABULARY = 320
POSITIONS = 64
_SUBJECTS = ("wraps a text", "sorts a list", "opens a file", "counts words", "joins two paths")
_WAYS = ("line by line", "in place", "for reading", "by their first letter", "with one slash")

RECIPE = Hyperparameters(
    block_size=16,
    batch_size=4,
    learning_rate=5e-3,
    schedule="cosine",
    warmup=2,
    rank=2,
    alpha=4.0,
    precision="fp32",
    seed=3,
)


def recipe(**changes: object) -> Hyperparameters:
    """The tests' recipe with some hyperparameters changed."""
    return Hyperparameters.model_validate(RECIPE.model_dump() | changes)


def qa_text(num_documents: int = 40) -> str:
    """Questions and answers in Markdown, all of them different."""
    return "\n\n".join(
        f"Q: What is number {n} of the tools?\nA: It {_SUBJECTS[n % 5]} {_WAYS[n // 5 % 5]}, {n}."
        for n in range(num_documents)
    )


def write_corpus(path: Path, num_documents: int = 40) -> Path:
    """Write a corpus that its reader takes for questions and answers."""
    path.write_text(qa_text(num_documents) + "\n", "utf-8")
    return path


def new_model(vocabulary: int = VOCABULARY) -> GPT2LMHeadModel:
    """An untrained GPT-2 of 2 layers and a width of 32; always the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return GPT2LMHeadModel(
            GPT2Config(
                vocab_size=vocabulary,
                n_positions=POSITIONS,
                n_embd=32,
                n_layer=2,
                n_head=2,
                bos_token_id=0,
                eos_token_id=0,
            )
        )


def write_base(folder: Path, vocabulary: int = VOCABULARY) -> Base:
    """Write the model with its tokenizer in Hugging Face format."""
    folder.mkdir(parents=True, exist_ok=True)
    new_model(vocabulary).save_pretrained(folder)
    # A tokenizer takes as many pairs as the text has: three short texts stay below 320.
    write_tiny_tokenizer([qa_text(1), "It sorts a list in place.", "by their first letter"], folder)
    return Base("./base", folder)


def write_trained_base(folder: Path) -> Base:
    """As `write_base`, but one that has read `qa_text`: at some 2 nats, it goes on calmly."""
    base = write_base(folder)
    tokens = torch.tensor(load_tokenizer(base).tokenizer.encode(qa_text(150)).ids)
    model = new_model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for step in range(80):
        start = 509 * step % (len(tokens) - 513)
        inputs, targets = (tokens[start + n : start + n + 512].view(16, 32) for n in (0, 1))
        logits = model(input_ids=inputs, use_cache=False).logits
        cross_entropy(logits.flatten(0, 1), targets.flatten()).backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    return base


def new_bench(
    folder: Path,
    *,
    loss_on: str = "all",
    every_tokens: int = 320,
    device: str = "cpu",
) -> Workbench:
    """A workbench on `base` and `qa.md` in a folder; both are written if they are missing."""
    if not (folder / "qa.md").exists():
        write_corpus(folder / "qa.md")
    base = Base("./base", folder / "base") if (folder / "base").is_dir() else None
    ground = Ground(
        model="./base",
        data=DataSpec.model_validate(
            {"train": "./qa.md", "validation": 0.1, "loss_on": loss_on}, by_name=True
        ),
        evaluate=EvaluateSpec(block_size=16, every_tokens=every_tokens, tokens=96),
        seed=0,
        folder=folder,
    )
    return lay_out(ground, base or write_base(folder / "base"), find_device(1, device))


def assert_raises_with(kind: type[Exception], call: Callable[[], object], *parts: str) -> None:
    """The call raises exactly this kind, and the message has every part in it."""
    try:
        call()
    except kind as error:
        missing = [part for part in parts if part not in str(error)]
        assert not missing, f"{missing} not in {error}"
        return
    raise AssertionError(f"{kind.__name__} was not raised")

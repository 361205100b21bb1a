"""What is measured at which size, and the bases and the corpus that it takes."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from sweeper.models.tiny import write_tiny_tokenizer

CORPUS_CHARACTERS = 240_000
TOKENIZER_CHARACTERS = 60_000
END_OF_TEXT_ID = 0


@dataclass(frozen=True)
class Size:
    """A base, the nominal shape of a step on it, and how much of it is trained.

    Attributes:
        name: What the report calls it.
        about: One line for the report.
        layers: Of the base; so are width, heads, vocabulary and positions.
        batch_size: Nominal blocks of a micro-batch.
        block_size: Nominal tokens of a block, and those of an evaluation block.
        tokens_per_trial: What every trial trains on.
        evaluation_tokens: Of the validation set, the same for all trials.
        num_trials: The first so many of the list.
        repetitions: Of every arm.
        tuned_repetitions: Of B1, at most `repetitions`; 0 leaves it out.
        pretraining_steps: Of the base that is made: with random weights a trial's loss waits at
            that of the tokens' frequencies and leaves it at a moment that rounding decides, so
            that runs of one and the same trial end far apart.
        builtin: The embedded base's name; None for one that is made here.
        needs_cuda: Whether it is skipped without a CUDA device.
    """

    name: str
    about: str
    layers: int
    width: int
    heads: int
    vocabulary: int
    positions: int
    batch_size: int
    block_size: int
    tokens_per_trial: int
    evaluation_tokens: int
    num_trials: int
    repetitions: int
    tuned_repetitions: int
    pretraining_steps: int = 0
    builtin: str | None = None
    needs_cuda: bool = False

    @property
    def shape(self) -> str:
        """What two sizes that share a base have in common; a name for its folder."""
        steps = self.pretraining_steps
        return f"{self.layers}x{self.width}-{self.vocabulary}" + f"-{steps}" * bool(steps)

    @property
    def matmul_parameters(self) -> int:
        """Weights that every token is multiplied with: the layers' and the head's."""
        return 12 * self.layers * self.width**2 + self.vocabulary * self.width

    def flops_per_token(self, block_size: int, rank: int) -> float:
        """Floating-point operations of one training token under LoRA on all of the layers.

        4 N + 12 L d S + 6 N_lora: no gradients of the frozen base's weights; attention is counted
        whole, though half of it is masked.
        """
        attention = 12 * self.layers * self.width * block_size
        return 4.0 * self.matmul_parameters + attention + 6.0 * self._lora_parameters(rank)

    def forward_flops_per_token(self, block_size: int, rank: int) -> float:
        """Of a token that is only evaluated: 2 N + 4 L d S + 2 N_lora."""
        attention = 4 * self.layers * self.width * block_size
        return 2.0 * self.matmul_parameters + attention + 2.0 * self._lora_parameters(rank)

    def _lora_parameters(self, rank: int) -> int:
        return self.layers * rank * (4 + 2 + 5 + 5) * self.width  # c_attn, c_proj, c_fc, c_proj


_T = Size("T", "2 layers x 64 wide, vocabulary 512, nominal step 4 x 32 tokens",
          layers=2, width=64, heads=2, vocabulary=512, positions=64, batch_size=4, block_size=32,
          tokens_per_trial=12_800, evaluation_tokens=2_048, num_trials=32,
          repetitions=3, tuned_repetitions=1, pretraining_steps=200)  # fmt: skip
_M = Size("M", "4 layers x 256 wide, vocabulary 1,024, nominal step 8 x 128 tokens",
          layers=4, width=256, heads=4, vocabulary=1024, positions=256, batch_size=8,
          block_size=128, tokens_per_trial=8_192, evaluation_tokens=2_048, num_trials=32,
          repetitions=2, tuned_repetitions=2, pretraining_steps=200)  # fmt: skip
_DEFAULT = Size("default", "the default study's 24 trials on builtin:tiny, a fifth of its tokens",
                layers=4, width=128, heads=4, vocabulary=1024, positions=256, batch_size=8,
                block_size=128, tokens_per_trial=48_000, evaluation_tokens=4_000, num_trials=24,
                repetitions=2, tuned_repetitions=0, builtin="builtin:tiny")  # fmt: skip
_GPT2 = Size("gpt2", "GPT-2 124 M, random weights, nominal step 2 x 64 tokens, 4 trials",
             layers=12, width=768, heads=12, vocabulary=50_257, positions=1024, batch_size=2,
             block_size=64, tokens_per_trial=512, evaluation_tokens=256, num_trials=4,
             repetitions=1, tuned_repetitions=0)  # fmt: skip
_CUDA_128 = replace(_GPT2, name="cuda-128", batch_size=8, block_size=128, num_trials=32,
                    about="GPT-2 124 M, random weights, nominal step 8 x 128 tokens, CUDA",
                    tokens_per_trial=20_480, evaluation_tokens=8_192, needs_cuda=True,
                    repetitions=2, tuned_repetitions=1)  # fmt: skip
_CUDA_1024 = replace(_CUDA_128, name="cuda-1024", block_size=1024,
                     about="GPT-2 124 M, random weights, nominal step 8 x 1,024 tokens, CUDA",
                     tokens_per_trial=81_920, evaluation_tokens=16_384)  # fmt: skip

SIZES = {size.name: size for size in (_T, _M, _DEFAULT, _GPT2, _CUDA_128, _CUDA_1024)}


def quick(size: Size) -> Size:
    """A fraction: four trials, some steps of each, once. For whether it works, not how fast."""
    tokens = max(size.tokens_per_trial // 8, 4 * size.batch_size * size.block_size)
    return replace(
        size,
        num_trials=4,
        repetitions=1,
        tuned_repetitions=min(size.tuned_repetitions, 1),
        tokens_per_trial=min(tokens, size.tokens_per_trial),
        evaluation_tokens=min(size.evaluation_tokens, 8 * size.block_size),
    )


def write_corpus(path: Path) -> Path:
    """Questions and answers of the built-in corpus as one Markdown file; kept where it is there.

    Reading the built-in one parses all of Python's library, which is no part of training.
    """
    if not path.is_file():
        from sweeper.data import read_corpus

        texts = (
            document.text for document in read_corpus("builtin:pydoc-qa", path.parent).documents
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_up_to(CORPUS_CHARACTERS, texts) + "\n", "utf-8")
    return path


def _up_to(characters: int, texts: object) -> str:
    taken: list[str] = []
    length = 0
    for text in texts:  # type: ignore[attr-defined]
        taken.append(text)
        length += len(text) + 2
        if length > characters:
            break
    return "\n\n".join(taken)


def write_base(size: Size, folder: Path, corpus: Path) -> Path:
    """A GPT-2 of the size and a tokenizer of its own, in a folder."""
    if not (folder / "model.safetensors").is_file():
        unfinished = folder.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        _write_tokenizer(size.vocabulary, unfinished, corpus)
        _write_model(size, unfinished)
        unfinished.replace(folder)
    return folder


def _write_model(size: Size, folder: Path) -> None:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    from sweeper.models.base import Base
    from sweeper.training.pretrain import pretrain

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = GPT2Config(
            vocab_size=size.vocabulary,
            n_positions=size.positions,
            n_embd=size.width,
            n_layer=size.layers,
            n_head=size.heads,
            bos_token_id=END_OF_TEXT_ID,
            eos_token_id=END_OF_TEXT_ID,
            attn_pdrop=0.0,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
        )
        model = GPT2LMHeadModel(config)
    model.save_pretrained(folder)
    if size.pretraining_steps:
        pretrain(model, Base(size.name, folder), size.pretraining_steps, lambda *_: None)
        model.save_pretrained(folder)


def _write_tokenizer(vocabulary: int, folder: Path, corpus: Path) -> None:
    """Of 1,024 tokens, or the first of them: a larger vocabulary's others are never met."""
    write_tiny_tokenizer([corpus.read_text("utf-8")[:TOKENIZER_CHARACTERS]], folder)
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text("utf-8"))
    model = content["model"]
    kept = {token: number for token, number in model["vocab"].items() if number < vocabulary}
    num_merged = len(model["vocab"]) - len(kept)
    model["vocab"] = kept
    model["merges"] = model["merges"][: len(model["merges"]) - num_merged]
    path.write_text(json.dumps(content), "utf-8")

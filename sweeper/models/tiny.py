"""The embedded base: a GPT-2 small enough to pretrain in a minute or two on a laptop.

Only its shape, its tokenizer and its untrained weights are made here; training
it is the training floor's work.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # torch and transformers cost seconds: import where used
    from transformers import GPT2LMHeadModel

VOCABULARY = 1024
POSITIONS = 256
WIDTH = 128
LAYERS = 4
HEADS = 4
SHAPE = (VOCABULARY, POSITIONS, WIDTH, LAYERS, HEADS)
END_OF_TEXT = "<|endoftext|>"


def new_tiny_model(seed: int) -> GPT2LMHeadModel:
    """An untrained GPT-2 of the tiny shape; the same seed gives the same weights."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = GPT2Config(
            vocab_size=VOCABULARY,
            n_positions=POSITIONS,
            n_embd=WIDTH,
            n_layer=LAYERS,
            n_head=HEADS,
            bos_token_id=0,
            eos_token_id=0,
            attn_pdrop=0.0,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
        )
        return GPT2LMHeadModel(config)


def write_tiny_tokenizer(texts: Iterable[str], folder: Path) -> None:
    """Train a byte-level BPE on the texts and write it as a Hugging Face tokenizer.

    Byte-level: every text can be encoded, and decodes back to itself.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": END_OF_TEXT,
        "eos_token": END_OF_TEXT,
        "unk_token": END_OF_TEXT,
        "model_max_length": POSITIONS,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")

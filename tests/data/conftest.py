"""Small tokenizers, corpora and tokenized documents."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

TEXTS = (
    "Q: What does `textwrap.wrap` do?\nA: It wraps a text, line by line.\n\nThe lines come back.",
    "The quick brown fox doesn't jump over 13 lazy dogs; nor does the other one.",
    "Grüße aus Köln, 日本語 und 🙂.",
    "def wrap():\n        return 1      # code has runs of      spaces",
)


@pytest.fixture(scope="session")
def bpe() -> Tokenizer:
    """A byte-level BPE of GPT-2's make, trained on three sentences."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS * 4, trainer)
    return tokenizer

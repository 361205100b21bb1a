"""Blocks of tokens, as training and evaluation take them.

Shapes: N blocks, S tokens per block (the block size).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweeper.data.detour import Tokens
from sweeper.data.tokens import TokenizedDocuments
from sweeper.errors import DataError

IGNORED_TARGET = -100
"""The target that PyTorch's cross-entropy leaves out by default."""


@dataclass(frozen=True, eq=False)
class Blocks:
    """Inputs and what should follow each of them.

    Attributes:
        inputs: int64 `[N, S]`.
        targets: int64 `[N, S]`, the token behind each input, or -100 where it does not count.
    """

    inputs: NDArray[np.int64]
    targets: NDArray[np.int64]

    @property
    def num_targets(self) -> int:
        """Predictions that count in the loss."""
        return int(np.count_nonzero(self.targets != IGNORED_TARGET))


def training_blocks(
    stream: Tokens, *, start_tokens: int, num_blocks: int, block_size: int
) -> Blocks:
    """Cuts blocks from a stream, one behind the other.

    Block k has the inputs `[start + kS, start + (k+1)S)` and the targets one further, so a trial
    that starts each micro-batch where the last one ended predicts every token exactly once
    (but for the stream's first, which nothing precedes).

    Args:
        stream: Where to read.
        start_tokens: Position of the first input.
        num_blocks: N, 1 or more.
        block_size: S in tokens, 1 or more.
    """
    if num_blocks < 1 or block_size < 1:
        raise ValueError(f"num_blocks and block_size are 1 or more, not {num_blocks}, {block_size}")
    tokens, mask = stream.read(start_tokens, num_blocks * block_size + 1)
    return _cut(tokens, mask, np.arange(num_blocks), block_size)


def evaluation_blocks(
    tokenized: TokenizedDocuments,
    *,
    block_size: int,
    max_tokens: int | None = None,
    side: str = "validation",
) -> Blocks:
    """What trials are judged on, the same for every trial of a study.

    Documents stand in their order with an end-of-text behind each; only whole blocks are taken.

    Args:
        tokenized: The documents of one side of the split.
        block_size: S in tokens, 1 or more.
        max_tokens: Predictions at most; whole blocks, evenly spaced over the whole set, make
            them up. None takes all blocks.
        side: What that side is called, for messages.

    Raises:
        DataError: The set or `max_tokens` is too small for one block, or nothing in the chosen
            blocks counts as a target.
    """
    if block_size < 1:
        raise ValueError(f"block_size is 1 or more, not {block_size}")
    tokens, mask = _join_documents(tokenized)
    total = (tokens.size - 1) // block_size
    if total < 1:
        raise DataError(
            f"the {side} set has {tokens.size} tokens, and one block of {block_size} needs "
            f"{block_size + 1}; give {side} a larger share, or lower evaluate.block_size"
        )
    chosen = np.arange(total)
    if max_tokens is not None:
        if max_tokens < block_size:
            raise DataError(
                f"at most {max_tokens} tokens per evaluation do not hold one block of "
                f"{block_size}; allow {block_size} or more, or lower evaluate.block_size"
            )
        count = min(total, max_tokens // block_size)
        chosen = (2 * np.arange(count) + 1) * total // (2 * count)  # the middles of equal parts
    blocks = _cut(tokens, mask, chosen, block_size)
    if not blocks.num_targets:
        raise DataError(
            f"none of the {blocks.targets.size} {side} tokens is part of an answer; give "
            f"{side} a larger share, or set loss_on: all"
        )
    return blocks


def _join_documents(
    tokenized: TokenizedDocuments,
) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """All segments in order; the pieces of one document meet without an end-of-text."""
    documents = tokenized.segment_documents
    is_last = np.append(documents[1:] != documents[:-1], True)
    places = tokenized.segment_ends[is_last]
    tokens = np.insert(tokenized.tokens, places, np.int32(tokenized.end_of_text_id))
    mask = np.insert(tokenized.loss_mask, places, tokenized.segment_end_counts[is_last])
    return tokens, mask


def _cut(
    tokens: NDArray[np.int32], mask: NDArray[np.bool_], chosen: NDArray[np.int64], block_size: int
) -> Blocks:
    positions_NS = chosen[:, None] * block_size + np.arange(block_size)
    inputs_NS = tokens[positions_NS].astype(np.int64)
    targets_NS = tokens[positions_NS + 1].astype(np.int64)
    targets_NS[~mask[positions_NS + 1]] = IGNORED_TARGET
    return Blocks(inputs_NS, targets_NS)

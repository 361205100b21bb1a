"""An endless, seeded sequence of tokens that can be read at any position."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sweeper.data.tokens import TokenizedDocuments


@dataclass(frozen=True)
class Location:
    """Where a token of the stream is from.

    Attributes:
        epoch: How many times the whole corpus lies before it.
        document: Index of the document among those tokenized.
        name: The document's name.
        offset_tokens: Its place in the document. An end-of-text token stands one past the last
            token of its segment.
    """

    epoch: int
    document: int
    name: str
    offset_tokens: int


@dataclass(frozen=True, eq=False)
class _Layout:
    """One epoch: segments in their order, and where each begins (one more: where all end)."""

    order: NDArray[np.int64]
    starts: NDArray[np.int64]


class TokenStream:
    """All segments once per epoch, each epoch in its own order, an end-of-text behind each.

    A stream keeps no position: what `read` returns depends on its arguments alone, so trials
    with unlike block and batch sizes that start at position 0 and spend the same tokens see the
    same tokens, and a trial that resumes at a position sees what it would have seen.

    Args:
        tokenized: The training documents.
        seed: Draws the order of every epoch; 0 or more.
    """

    def __init__(self, tokenized: TokenizedDocuments, *, seed: int) -> None:
        if seed < 0:
            raise ValueError(f"a seed is 0 or more, not {seed}")
        self._tokenized = tokenized
        self._seed = seed
        self._lengths = tokenized.segment_ends - tokenized.segment_starts + 1
        self._layouts: dict[int, _Layout] = {}

    @property
    def epoch_tokens(self) -> int:
        """Tokens in one epoch, the end-of-text tokens included; the same for every epoch."""
        return int(self._tokenized.tokens.size) + self._tokenized.num_segments

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) over tokens, mask, segments and seed: equal streams, equal fingerprint."""
        tokenized = self._tokenized
        digest = hashlib.sha256(f"{tokenized.end_of_text_id} {self._seed}\n".encode())
        for array, kind in (
            (tokenized.tokens, "<i4"),
            (tokenized.loss_mask, "?"),
            (tokenized.segment_ends, "<i8"),
            (tokenized.segment_end_counts, "?"),
        ):
            digest.update(f"{array.size}\n".encode())
            digest.update(np.ascontiguousarray(array, dtype=kind).data)
        return digest.hexdigest()

    def read(self, start: int, count: int) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """The tokens at positions `[start, start + count)`, and whether each counts as a target.

        Args:
            start: Position in tokens since the stream began, 0 or more.
            count: Number of tokens, 0 or more; may reach over any number of epochs.
        """
        if start < 0 or count < 0:
            raise ValueError(f"start and count are 0 or more, not {start} and {count}")
        tokens = np.empty(count, dtype=np.int32)
        mask = np.empty(count, dtype=np.bool_)
        done = 0
        while done < count:
            epoch, position = divmod(start + done, self.epoch_tokens)
            end = min(position + count - done, self.epoch_tokens)
            part = slice(done, done + end - position)
            self._fill(self._layout(epoch), position, end, tokens[part], mask[part])
            done = part.stop
        return tokens, mask

    def locate(self, position: int) -> Location:
        """The document that the token at a position is from.

        Args:
            position: In tokens since the stream began, 0 or more.
        """
        if position < 0:
            raise ValueError(f"a position is 0 or more, not {position}")
        epoch, within = divmod(position, self.epoch_tokens)
        layout = self._layout(epoch)
        slot = int(np.searchsorted(layout.starts, within, side="right")) - 1
        segment = int(layout.order[slot])
        document = int(self._tokenized.segment_documents[segment])
        return Location(
            epoch=epoch,
            document=document,
            name=self._tokenized.names[document],
            offset_tokens=int(self._tokenized.segment_offsets[segment])
            + within
            - int(layout.starts[slot]),
        )

    def passages(self, start: int, count: int) -> Iterator[tuple[Location, int]]:
        """The pieces of documents at positions `[start, start + count)`: where from, how long.

        A piece ends with the end-of-text token behind it, where the range reaches that far.

        Args:
            start: Position in tokens since the stream began, 0 or more.
            count: Number of tokens, 0 or more.
        """
        position = start
        while position < start + count:
            location = self.locate(position)
            epoch, within = divmod(position, self.epoch_tokens)
            starts = self._layout(epoch).starts
            segment_end = int(starts[np.searchsorted(starts, within, side="right")])
            length = min(segment_end - within, start + count - position)
            yield location, length
            position += length

    def _layout(self, epoch: int) -> _Layout:
        layout = self._layouts.get(epoch)
        if layout is None:
            # NumPy promises the same raw bits in every version, but not the same permutation.
            generator = np.random.PCG64(np.random.SeedSequence([self._seed, epoch]))
            order = np.argsort(generator.random_raw(self._lengths.size), kind="stable")
            starts = np.concatenate(([0], np.cumsum(self._lengths[order])))
            layout = _Layout(order, starts)
            # The last two: a block that lies across a border needs both.
            self._layouts = {**dict(list(self._layouts.items())[-1:]), epoch: layout}
        return layout

    def _fill(
        self,
        layout: _Layout,
        start: int,
        end: int,
        tokens: NDArray[np.int32],
        mask: NDArray[np.bool_],
    ) -> None:
        """Writes one epoch's positions `[start, end)` into `tokens` and `mask`."""
        tokenized = self._tokenized
        first = int(np.searchsorted(layout.starts, start, side="right")) - 1
        last = int(np.searchsorted(layout.starts, end, side="left"))
        borders = np.clip(layout.starts[first : last + 1], start, end)
        slots = np.repeat(np.arange(first, last), np.diff(borders))
        segments = layout.order[slots]
        sources = tokenized.segment_starts[segments] + np.arange(start, end) - layout.starts[slots]
        is_end = sources == tokenized.segment_ends[segments]
        sources[is_end] = 0
        tokens[:] = np.where(is_end, tokenized.end_of_text_id, tokenized.tokens[sources])
        mask[:] = np.where(
            is_end, tokenized.segment_end_counts[segments], tokenized.loss_mask[sources]
        )

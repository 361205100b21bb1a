"""Documents as tokens: one flat array, cut into segments, with a mask of what is learned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sweeper.data.document import Document
from sweeper.errors import DataError

LossOn = Literal["all", "answers"]

SEGMENT_TOKENS = 1024
"""Longer documents are cut when a run is trained, so that a single one cannot fill many steps."""

_PIECE_CHARACTERS = 65_536
"""A tokenizer's memory grows with its longest input, so long documents go in pieces."""
_BATCH_CHARACTERS = 1_048_576
_MAX_TOKENS = 2**31 - 1


class Encoding(Protocol):
    """Token ids, and the characters `[start, end)` that each of them stands for."""

    @property
    def ids(self) -> list[int]: ...

    @property
    def offsets(self) -> list[tuple[int, int]]: ...


class Tokenizer(Protocol):
    """The part of `tokenizers.Tokenizer` that is needed here."""

    def encode_batch(
        self, input: list[str], *, add_special_tokens: bool = ...
    ) -> Sequence[Encoding]: ...


@dataclass(frozen=True, eq=False)
class TokenizedDocuments:
    """Tokens of all documents behind each other, cut into segments.

    Attributes:
        tokens: int32, every segment's tokens in the order of the documents, no end-of-text.
        loss_mask: bool, as long as `tokens`: whether the token counts when it is the target.
        segment_starts: int64, index into `tokens` of each segment's first token.
        segment_ends: int64, one past its last token; equal to the next segment's start.
        segment_documents: int64, index into `names`, ascending.
        segment_offsets: int64, how many tokens of its document lie before the segment.
        segment_end_counts: bool, whether the end-of-text token behind the segment counts as a
            target. It does not behind a cut: a document that goes on does not end there.
        names: Every document's name, those without tokens too.
        end_of_text_id: The token put behind segments.
        num_unanswered_tokens: Tokens left out with `loss_on="answers"`, because their segment
            holds nothing to learn.
    """

    tokens: NDArray[np.int32]
    loss_mask: NDArray[np.bool_]
    segment_starts: NDArray[np.int64]
    segment_ends: NDArray[np.int64]
    segment_documents: NDArray[np.int64]
    segment_offsets: NDArray[np.int64]
    segment_end_counts: NDArray[np.bool_]
    names: tuple[str, ...]
    end_of_text_id: int
    num_unanswered_tokens: int = 0

    @property
    def num_segments(self) -> int:
        """Pieces of at most `segment_tokens` tokens, each of one document."""
        return int(self.segment_starts.size)


def tokenize_documents(
    documents: Sequence[Document],
    tokenizer: Tokenizer,
    *,
    segment_tokens: int,
    end_of_text_id: int,
    loss_on: LossOn = "all",
) -> TokenizedDocuments:
    """Encodes documents and cuts the long ones into segments.

    With `loss_on="answers"` a token counts where it overlaps an answer, as does the end-of-text
    behind a document that has one; segments with nothing that counts are left out, so that the
    token budget is spent on those that teach.

    Args:
        documents: What to encode, in this order.
        tokenizer: Must neither truncate nor pad.
        segment_tokens: Tokens in a segment at most.
        end_of_text_id: The id that separates documents.
        loss_on: What counts as a target.

    Raises:
        DataError: No tokens, no answers where answers are asked for, more tokens than fit an
            int32 index, or a tokenizer that truncates or pads.
    """
    if segment_tokens < 1:
        raise ValueError(f"a segment has at least 1 token, not {segment_tokens}")
    _refuse_truncation(tokenizer)
    if loss_on == "answers" and not any(document.answer_spans for document in documents):
        raise DataError(
            f"loss_on: answers, but none of the {len(documents)} documents has an answer; use "
            f"Q:/A: Markdown or JSONL with answers, or set loss_on: all"
        )
    builder = _Builder(segment_tokens, loss_on)
    for index, (document, ids, mask) in enumerate(_encode(documents, tokenizer, loss_on)):
        builder.add(index, ids, mask, ends_answered=bool(document.answer_spans))
    return builder.finish(tuple(document.name for document in documents), end_of_text_id)


class _Builder:
    """Collects segments; `tokenize_documents` drives it."""

    def __init__(self, segment_tokens: int, loss_on: LossOn) -> None:
        self._segment_tokens = segment_tokens
        self._only_answers = loss_on == "answers"
        self._tokens: list[NDArray[np.int32]] = []
        self._masks: list[NDArray[np.bool_]] = []
        self._segments: list[tuple[int, int, bool]] = []  # document, offset, end counts
        self._num_tokens = 0
        self._num_unanswered_tokens = 0

    def add(
        self,
        document: int,
        ids: NDArray[np.int32],
        mask: NDArray[np.bool_],
        *,
        ends_answered: bool,
    ) -> None:
        for start in range(0, ids.size, self._segment_tokens):
            end = min(start + self._segment_tokens, ids.size)
            if self._only_answers and not mask[start:end].any():
                self._num_unanswered_tokens += end - start
                continue
            ends = end == ids.size and (ends_answered or not self._only_answers)
            self._segments.append((document, start, ends))
            self._tokens.append(ids[start:end])
            self._masks.append(mask[start:end])
            self._num_tokens += end - start
        if self._num_tokens + len(self._segments) > _MAX_TOKENS:
            raise DataError(
                f"the corpus has more than {_MAX_TOKENS:,} tokens; split it into several studies, "
                f"or train on a part of it"
            )

    def finish(self, names: tuple[str, ...], end_of_text_id: int) -> TokenizedDocuments:
        if not self._num_tokens:
            raise DataError(
                f"the tokenizer makes no token of the {len(names)} documents; "
                f"check that the corpus has text and that the tokenizer fits it"
            )
        ends = np.cumsum([tokens.size for tokens in self._tokens], dtype=np.int64)
        columns = list(zip(*self._segments, strict=True))
        return TokenizedDocuments(
            tokens=np.concatenate(self._tokens),
            loss_mask=np.concatenate(self._masks),
            segment_starts=np.concatenate(([0], ends[:-1])),
            segment_ends=ends,
            segment_documents=np.array(columns[0], dtype=np.int64),
            segment_offsets=np.array(columns[1], dtype=np.int64),
            segment_end_counts=np.array(columns[2], dtype=np.bool_),
            names=names,
            end_of_text_id=end_of_text_id,
            num_unanswered_tokens=self._num_unanswered_tokens,
        )


def _refuse_truncation(tokenizer: Tokenizer) -> None:
    for setting in ("truncation", "padding"):
        if getattr(tokenizer, setting, None) is not None:
            raise DataError(
                f"the tokenizer has {setting} switched on, which would silently change the "
                f'corpus; set "{setting}" to null in its tokenizer.json'
            )


def _encode(
    documents: Sequence[Document], tokenizer: Tokenizer, loss_on: LossOn
) -> Iterator[tuple[Document, NDArray[np.int32], NDArray[np.bool_]]]:
    """Each document with its ids and mask, encoded in batches of about a megabyte."""
    batch: list[tuple[Document, list[str]]] = []
    num_characters = 0
    for document in documents:
        batch.append((document, cut_text(document.text)))
        num_characters += len(document.text)
        if num_characters >= _BATCH_CHARACTERS:
            yield from _encode_batch(batch, tokenizer, loss_on)
            batch, num_characters = [], 0
    yield from _encode_batch(batch, tokenizer, loss_on)


def _encode_batch(
    batch: Sequence[tuple[Document, list[str]]], tokenizer: Tokenizer, loss_on: LossOn
) -> Iterator[tuple[Document, NDArray[np.int32], NDArray[np.bool_]]]:
    pieces = [piece for _, pieces in batch for piece in pieces]
    encodings = iter(_encode_pieces(pieces, tokenizer))
    for document, document_pieces in batch:
        ids, masks, position = [], [], 0
        for piece in document_pieces:
            piece_ids, spans = next(encodings)
            ids.append(piece_ids)
            if loss_on == "all":
                masks.append(np.ones(piece_ids.size, dtype=np.bool_))
            else:
                masks.append(_overlaps(spans, position, document.answer_spans))
            position += len(piece)
        yield document, np.concatenate(ids), np.concatenate(masks)


def _encode_pieces(
    pieces: list[str], tokenizer: Tokenizer
) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int64]]]:
    start = 0
    while start < len(pieces):
        end, num_characters = start, 0
        while end < len(pieces) and (end == start or num_characters < _BATCH_CHARACTERS):
            num_characters += len(pieces[end])
            end += 1
        for encoding in tokenizer.encode_batch(pieces[start:end], add_special_tokens=False):
            spans = np.array(encoding.offsets, dtype=np.int64).reshape(-1, 2)
            yield np.array(encoding.ids, dtype=np.int32), spans
        start = end


def cut_text(text: str, piece_characters: int = _PIECE_CHARACTERS) -> list[str]:
    """Cuts a text into pieces that a GPT-2 tokenizer encodes as it would the whole.

    GPT-2 splits its input into words that carry the space before them, so a cut in front of a
    word's space changes no token. Only where a piece has no such space does the cut fall inside
    of a word.
    """
    pieces, start = [], 0
    while len(text) - start > piece_characters:
        cut = _find_cut(text, start, start + piece_characters)
        pieces.append(text[start:cut])
        start = cut
    return [*pieces, text[start:]]


def _find_cut(text: str, start: int, end: int) -> int:
    cut = text.rfind(" ", start + 1, end)
    while cut > start:
        if not text[cut + 1].isspace():
            return cut
        cut = text.rfind(" ", start + 1, cut)
    return end


def _overlaps(
    spans: NDArray[np.int64], position: int, answer_spans: Sequence[tuple[int, int]]
) -> NDArray[np.bool_]:
    """Which tokens of a piece that begins at a position of its document overlap an answer.

    Byte-level tokenizers leave a token's spaces out of its span, so a token of only spaces has an
    empty one: each token reaches back to where the one before it ended.
    """
    if not answer_spans or not spans.size:
        return np.zeros(len(spans), dtype=np.bool_)
    ends = spans[:, 1]
    starts = np.minimum(spans[:, 0], np.concatenate(([0], ends[:-1])))
    answers = np.array(answer_spans, dtype=np.int64)
    candidate = np.searchsorted(answers[:, 1], starts + position, side="right")
    answer_starts = np.append(answers[:, 0], np.iinfo(np.int64).max)
    overlaps: NDArray[np.bool_] = answer_starts[candidate] < ends + position
    return overlaps

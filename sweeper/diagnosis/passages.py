"""Which documents were read at an event, the oddest of them first."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sweeper.diagnosis.case import DriftWindow, Passage
from sweeper.diagnosis.duplicates import Group, Repeat
from sweeper.diagnosis.text import TokenText

MOST_PASSAGES = 20
UNLIKE_THE_REST = 3.0  # robust standard deviations
_LONG_TIMES, _LONG_TOKENS = 8, 512


@dataclass(frozen=True)
class Oddities:
    """What is odd about the documents of a corpus.

    Attributes:
        remarks: Document to remarks, each with its weight: heavier ones are odder.
    """

    remarks: Mapping[int, Sequence[tuple[float, str]]] = field(default_factory=dict)

    def weight(self, document: int) -> float:
        """How odd a document is; 0 for one that is like any other."""
        return sum(weight for weight, _ in self.remarks.get(document, ()))

    def texts(self, document: int) -> tuple[str, ...]:
        """What is odd about it, in words."""
        return tuple(text for _, text in self.remarks.get(document, ()))


@dataclass(frozen=True)
class Piece:
    """The part of a document that an event reads.

    Attributes:
        document: Its index.
        start_tokens: Position of the part's first token.
        num_tokens: Its length.
        epoch: The pass over the corpus, from 0.
    """

    document: int
    start_tokens: int
    num_tokens: int
    epoch: int


def find_oddities(
    text: TokenText,
    exact: Iterable[Group],
    near: Iterable[Group],
    repeats: Iterable[Repeat],
    drift: Iterable[DriftWindow],
) -> Oddities:
    """Collect what the other looks at a corpus have found, document by document."""
    remarks: defaultdict[int, list[tuple[float, str]]] = defaultdict(list)
    found = (
        *_of_groups(text, exact, near),
        *_of_repeats(text, repeats),
        *_of_drift(text, drift),
        *_of_lengths(text),
    )
    for document, weight, remark in found:
        remarks[document].append((weight, remark))
    return Oddities(dict(remarks))


Found = Iterator[tuple[int, float, str]]


def _of_groups(text: TokenText, exact: Iterable[Group], near: Iterable[Group]) -> Found:
    for group in exact:
        for document in group.documents:
            other = next(o for o in group.documents if o != document)
            yield document, 3.0, f"equal to {text.names[other]}{_and_more(group)}"
    for group in near:
        for document in group.documents:
            other = next(o for o in group.documents if o != document)
            likeness = f"at least {group.similarity:.0%} like {text.names[other]}"
            yield document, 2.0, f"{likeness}{_and_more(group)}"


def _and_more(group: Group) -> str:
    more = len(group.documents) - 2
    return f" and {more:,} more" if more else ""


def _of_repeats(text: TokenText, repeats: Iterable[Repeat]) -> Found:
    held: defaultdict[int, list[Repeat]] = defaultdict(list)
    for repeat in repeats:
        for document in np.unique(text.documents_at(np.array(repeat.positions))).tolist():
            held[document].append(repeat)
    for document, passages in held.items():
        longest = max(passages, key=lambda repeat: repeat.num_tokens)
        remark = (
            f"holds a passage of {longest.num_tokens:,} tokens that stands "
            f"{len(longest.positions):,} times"
        )
        more = f", and {len(passages) - 1:,} shorter ones" if len(passages) > 1 else ""
        yield document, 1.5, remark + more


def _of_drift(text: TokenText, drift: Iterable[DriftWindow]) -> Found:
    for window in drift:
        if window.z < UNLIKE_THE_REST:
            continue
        first, last = text.documents_at(np.array([window.start_tokens, window.end_tokens - 1]))
        for document in range(int(first), int(last) + 1):
            yield document, 1.0, f"in a stretch unlike the rest (z = {window.z:.1f})"


def _of_lengths(text: TokenText) -> Found:
    median = max(float(np.median(text.sizes)), 1.0)
    least = max(_LONG_TIMES * median, _LONG_TOKENS)
    for document in np.flatnonzero(text.sizes >= least).tolist():
        size = int(text.sizes[document])
        yield document, 1.0, f"{size:,} tokens long, {size / median:.0f} times the median"


def choose_passages(
    pieces: Iterable[Piece], oddities: Oddities, names: Sequence[str]
) -> tuple[Passage, ...]:
    """At most 20 of the pieces: the oddest first, then others evenly spaced, in their order."""
    every = list(pieces)
    odd = [piece for piece in every if oddities.weight(piece.document)]
    odd.sort(key=lambda piece: (-oddities.weight(piece.document), piece.epoch, piece.start_tokens))
    chosen = odd[:MOST_PASSAGES]
    plain = [piece for piece in every if not oddities.weight(piece.document)]
    room = min(MOST_PASSAGES - len(chosen), len(plain))
    chosen += [plain[(2 * n + 1) * len(plain) // (2 * room)] for n in range(room)]
    return tuple(
        Passage(
            names[piece.document],
            piece.start_tokens,
            piece.num_tokens,
            piece.epoch,
            oddities.texts(piece.document),
        )
        for piece in chosen
    )


def pieces_in_order(text: TokenText, start: int, end: int) -> Iterator[Piece]:
    """What is read at positions `[start, end)` by a run that reads the corpus front to back.

    After the last document it begins again with the first. Of a range longer than the corpus only
    the last pass is told, which holds every document once.
    """
    length = text.tokens.size
    start = max(start, end - length)
    while start < end:
        epoch, within = divmod(start, length)
        stop = min(within + end - start, length)
        yield from _pieces(text, within, stop, epoch)
        start += stop - within


def _pieces(text: TokenText, start: int, stop: int, epoch: int) -> Iterator[Piece]:
    first, last = text.documents_at(np.array([start, stop - 1])).tolist()
    for document in range(first, last + 1):
        begins = int(text.starts[document])
        ends = begins + int(text.sizes[document]) + 1
        part_start, part_end = max(begins, start), min(ends, stop)
        yield Piece(document, part_start, part_end - part_start, epoch)

"""Documents that are equal, or nearly so, and long passages that stand in several of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

import numpy as np
from numpy.typing import NDArray

from sweeper.data import Document, document_key
from sweeper.diagnosis.text import TokenText, hash_windows, mix

SIMILAR = 0.8
_SHINGLE_TOKENS = 5
_MIN_TOKENS = 16  # a few words may be alike by chance
_BANDS, _ROWS = 12, 4  # similar pairs share a band with a chance of 0.998, pairs of 0.4 with 0.27
_SEED = 0
_FIRST_ONES, _LAST_ONES = 4, 2
_LEAST_EQUAL_HASHES = 0.6
_PAIRS_AT_ONCE = 50_000


@dataclass(frozen=True)
class Group:
    """Documents that are alike.

    Attributes:
        documents: Indices, ascending.
        similarity: 1 for equal ones; else the least Jaccard similarity to the first.
    """

    documents: tuple[int, ...]
    similarity: float = 1.0


def find_exact_duplicates(documents: Sequence[Document]) -> tuple[Group, ...]:
    """Groups of documents that are equal but for whitespace, the largest first."""
    groups: defaultdict[bytes, list[int]] = defaultdict(list)
    for number, document in enumerate(documents):
        groups[document_key(document)].append(number)
    found = (Group(tuple(members)) for members in groups.values() if len(members) > 1)
    return tuple(sorted(found, key=lambda group: (-len(group.documents), group.documents)))


def find_near_duplicates(text: TokenText, exact: Sequence[Group] = ()) -> tuple[Group, ...]:
    """Groups of documents of which at least 80 % of all runs of 5 tokens are common to both.

    Candidates by MinHash (Broder 1997, doi:10.1109/SEQUEN.1997.666900) and banding; each is then
    compared run by run, so no chance equality of hashes makes a pair.

    Args:
        text: The documents.
        exact: Groups of equal ones, of which only the first is compared.
    """
    repeated = {number for group in exact for number in group.documents[1:]}
    chosen = [
        number
        for number, size in enumerate(text.sizes.tolist())
        if size >= _MIN_TOKENS and number not in repeated
    ]
    if len(chosen) < 2:
        return ()
    shingles = _shingles(text, chosen)
    return _grouped(shingles, _candidates(_signatures(shingles)), chosen)


def _shingles(text: TokenText, chosen: Sequence[int]) -> list[NDArray[np.uint64]]:
    hashes = hash_windows(text.tokens, _SHINGLE_TOKENS)
    last = text.starts + text.sizes - _SHINGLE_TOKENS + 1
    return [hashes[text.starts[number] : last[number]] for number in chosen]


def _signatures(shingles: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """MinHashes, one row for each document, one column for each of the hash functions."""
    flat = np.concatenate(shingles)
    starts = np.cumsum([0, *(part.size for part in shingles[:-1])])
    random = np.random.Generator(np.random.PCG64(_SEED))
    factors = random.integers(0, 2**63, _BANDS * _ROWS, dtype=np.uint64) * 2 + 1
    columns = [np.minimum.reduceat(flat * factor, starts) for factor in factors]
    return np.stack(columns, axis=1)


def _candidates(signatures: NDArray[np.uint64]) -> dict[int, list[int]]:
    """For each document earlier ones that share a band and most of their MinHashes.

    The share of equal MinHashes estimates the similarity; with 48 of them, similar documents fall
    below 0.6 once in 3,000 times.
    """
    count = signatures.shape[0]
    bands = np.split(signatures, _BANDS, axis=1)
    pairs = np.unique(np.concatenate([_pairs_of_band(band) for band in bands]))
    candidates: defaultdict[int, list[int]] = defaultdict(list)
    for part in np.array_split(pairs, pairs.size // _PAIRS_AT_ONCE + 1):
        later, earlier = np.divmod(part, count)
        is_alike = (signatures[later] == signatures[earlier]).mean(axis=1) >= _LEAST_EQUAL_HASHES
        for number, other in zip(later[is_alike].tolist(), earlier[is_alike].tolist(), strict=True):
            candidates[number].append(other)
    return candidates


def _pairs_of_band(band: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Pairs with equal bands, as later * count + earlier; few of them where many are equal.

    Each document is paired with the first ones of its crowd, which are likely to be a group's
    first, and with the last ones before it, which catch what is like none of these.
    """
    weights = np.arange(1, 2 * _ROWS, 2, dtype=np.uint64)
    keys: NDArray[np.uint64] = (mix(band) * weights).sum(axis=1, dtype=np.uint64)
    order = np.argsort(keys, kind="stable")
    is_start = np.append(True, np.diff(keys[order]) != 0)
    here = np.arange(keys.size)
    start = np.flatnonzero(is_start)[np.cumsum(is_start) - 1]
    others = [start + n for n in range(_FIRST_ONES)] + [here - n for n in range(1, _LAST_ONES + 1)]
    pairs = [
        order[here[is_pair]] * keys.size + order[other[is_pair]]
        for other in others
        for is_pair in [(start <= other) & (other < here)]
    ]
    return np.concatenate(pairs)


def _grouped(
    shingles: Sequence[NDArray[np.uint64]],
    candidates: dict[int, list[int]],
    chosen: Sequence[int],
) -> tuple[Group, ...]:
    sets: dict[int, NDArray[np.uint64]] = {}
    first_of: dict[int, int] = {}
    members: defaultdict[int, list[tuple[int, float]]] = defaultdict(list)
    for number in sorted(candidates):
        tried: set[int] = set()
        for other in sorted(candidates[number]):
            first = first_of.get(other, other)
            if first in tried:
                continue
            tried.add(first)
            similarity = _jaccard(shingles, sets, first, number)
            if similarity >= SIMILAR:
                first_of[number] = first
                members[first].append((number, similarity))
                break
    groups = (
        Group(tuple(chosen[n] for n in (first, *(n for n, _ in rest))), min(s for _, s in rest))
        for first, rest in members.items()
    )
    return tuple(sorted(groups, key=lambda group: (-len(group.documents), group.documents)))


def _jaccard(
    shingles: Sequence[NDArray[np.uint64]],
    sets: dict[int, NDArray[np.uint64]],
    one: int,
    other: int,
) -> float:
    """Common shingles of two documents as a share of all of theirs."""
    for number in (one, other):
        if number not in sets:
            sets[number] = np.unique(shingles[number])
    sizes = sets[one].size, sets[other].size
    if min(sizes) < SIMILAR * max(sizes):
        return 0.0
    common = np.intersect1d(sets[one], sets[other], assume_unique=True).size
    return common / (sum(sizes) - common)


@dataclass(frozen=True)
class Repeat:
    """A passage that stands in several places.

    Attributes:
        num_tokens: Its length.
        positions: Where each copy begins, ascending.
    """

    num_tokens: int
    positions: tuple[int, ...]


@dataclass(frozen=True)
class _Copy:
    source: int
    position: int
    num_tokens: int


REPEAT_TOKENS = 50
_MOST_REPEATS = 50


def find_repeats(text: TokenText, left_out: frozenset[int] = frozenset()) -> tuple[Repeat, ...]:
    """Passages of 50 tokens or more inside of documents that stand in several places.

    Each is as long as it can be; copies whose ends differ by less than half the least length count
    as one. Those that save most when told once come first, at most 50.

    Args:
        text: The documents.
        left_out: Documents to pass over, such as copies of others.
    """
    copies = sorted(_copies(text, left_out), key=lambda copy: (copy.source, -copy.num_tokens))
    repeats = []
    cluster: list[_Copy] = []
    for copy in copies:
        if cluster and not _is_same_passage(cluster[0], copy):
            repeats.append(_repeat(cluster))
            cluster = []
        cluster.append(copy)
    if cluster:
        repeats.append(_repeat(cluster))
    real = [repeat for repeat in repeats if len(repeat.positions) > 1]
    real.sort(key=lambda r: (-r.num_tokens * (len(r.positions) - 1), r.positions))
    return tuple(islice(_not_told_yet(real, text.tokens.size), _MOST_REPEATS))


def _not_told_yet(repeats: Sequence[Repeat], num_tokens: int) -> Iterator[Repeat]:
    """Those that do not for the most part lie inside of ones before: two copies of a passage
    may by chance share a word more than the others do.
    """
    is_told = np.zeros(num_tokens, dtype=np.bool_)
    for repeat in repeats:
        spans = [slice(start, start + repeat.num_tokens) for start in repeat.positions]
        if sum(int(is_told[span].sum()) for span in spans) * 2 < len(spans) * repeat.num_tokens:
            for span in spans:
                is_told[span] = True
            yield repeat


def _is_same_passage(first: _Copy, copy: _Copy) -> bool:
    slack = REPEAT_TOKENS // 2
    ends = first.source + first.num_tokens, copy.source + copy.num_tokens
    return copy.source - first.source < slack and abs(ends[0] - ends[1]) < slack


def _repeat(cluster: Sequence[_Copy]) -> Repeat:
    """The passage where it was first, and its copies that do not lie in one another."""
    num_tokens = min(copy.num_tokens for copy in cluster)
    kept: list[int] = []
    for position in sorted({cluster[0].source, *(copy.position for copy in cluster)}):
        if not kept or position >= kept[-1] + num_tokens:
            kept.append(position)
    return Repeat(num_tokens, tuple(kept))


def _copies(text: TokenText, left_out: frozenset[int]) -> Iterator[_Copy]:
    """Maximal stretches whose windows all stand earlier in the text, in one piece."""
    hashes = hash_windows(text.tokens, REPEAT_TOKENS)
    positions = _windows_inside(text, hashes.size, left_out)
    order = positions[np.argsort(hashes[positions], kind="stable")]
    is_first = np.append(True, np.diff(hashes[order]) != 0) if order.size else order.astype(bool)
    sources = order[is_first][np.cumsum(is_first) - 1]
    places = np.sort(order[~is_first])
    by_position = np.empty(hashes.size, dtype=np.int64)
    by_position[order] = sources
    places_sources = by_position[places]
    breaks = np.flatnonzero((np.diff(places) != 1) | (np.diff(places_sources) != 1)) + 1
    borders = [0, *breaks.tolist(), places.size] if places.size else []
    for first, end in pairwise(borders):
        source, position = int(places_sources[first]), int(places[first])
        length = end - first + REPEAT_TOKENS - 1
        one, other = (text.tokens[start : start + length] for start in (source, position))
        if np.array_equal(one, other):
            yield _Copy(source, position, length)


def _windows_inside(
    text: TokenText, num_windows: int, left_out: frozenset[int]
) -> NDArray[np.int64]:
    """Positions of the windows that lie in one document, and not in one to pass over."""
    positions = np.arange(num_windows)
    documents = text.documents_at(positions)
    ends = text.starts + text.sizes
    is_used = np.ones(ends.size, dtype=np.bool_)
    is_used[list(left_out)] = False
    return positions[(positions + REPEAT_TOKENS <= ends[documents]) & is_used[documents]]

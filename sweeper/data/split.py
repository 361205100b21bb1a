"""Which documents train, which validate, and which only test."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sweeper.data.document import Document, document_key
from sweeper.errors import DataError


@dataclass(frozen=True)
class Split:
    """Sides that share no text, each in the order of the corpus.

    Attributes:
        train: At least one.
        validation: At least one.
        test: Those that only what the search has found is judged on; none unless asked for.
        num_duplicates: Documents left out, because the same text (but for whitespace) came before.
    """

    train: tuple[Document, ...]
    validation: tuple[Document, ...]
    test: tuple[Document, ...]
    num_duplicates: int


def split_documents(
    documents: Sequence[Document], *, validation: float, seed: int, test: float | None = None
) -> Split:
    """Sets documents aside for validation and test: whole ones, after exact de-duplication.

    The choice goes by a hash of the seed and each text, so it hangs neither on the order of the
    documents nor on the machine, and a corpus that grows keeps most of its validation set. The
    test documents are taken from those that would train, so validation is the same without them.

    Args:
        documents: The corpus.
        validation: Share of the characters that should validate, in (0, 1). Whole documents
            come as near to it as they can.
        seed: Picks the documents.
        test: Share of the characters that should test, in (0, 1); None for no such side.

    Raises:
        DataError: Fewer different documents than sides.
    """
    for name, share in (("validation", validation), ("test", test)):
        if share is not None and not 0 < share < 1:
            raise ValueError(f"{name} is a share between 0 and 1, not {share}")
    distinct = _drop_duplicates(documents)
    if len(distinct) < (2 if test is None else 3):
        raise DataError(_too_few(len(documents), len(distinct), test))
    sizes = {key: len(document.text) for key, document in distinct.items()}
    whole = sum(sizes.values())
    validating = _choose(sizes, validation * whole, f"{seed} ")
    left = {key: size for key, size in sizes.items() if key not in validating}
    if test is not None and len(left) < 2:
        raise DataError("validation leaves one document for training and test: give it less")
    testing = set() if test is None else _choose(left, test * whole, f"{seed} test ")
    return Split(
        train=tuple(distinct[key] for key in left if key not in testing),
        validation=tuple(d for key, d in distinct.items() if key in validating),
        test=tuple(distinct[key] for key in left if key in testing),
        num_duplicates=len(documents) - len(distinct),
    )


def _too_few(num_documents: int, num_distinct: int, test: float | None) -> str:
    third = "" if test is None else ", one for test"
    return (
        f"the corpus has {num_documents} documents, {num_distinct} of them different; one side "
        f"for training{third} and one for validation need at least {2 if test is None else 3}: "
        f"add text, or separate documents by blank lines, headings or Q:/A: markers"
    )


def _drop_duplicates(documents: Sequence[Document]) -> dict[bytes, Document]:
    """Each text once, under the hash of its words; the first of equals stays."""
    distinct: dict[bytes, Document] = {}
    for document in documents:
        distinct.setdefault(document_key(document), document)
    return distinct


def _choose(sizes: Mapping[bytes, int], target: float, salt: str) -> set[bytes]:
    """Documents of about so many characters together, never all of them, in a salted order."""
    order = sorted(sizes, key=lambda key: hashlib.sha256(salt.encode() + key).digest())
    chosen: set[bytes] = set()
    total = 0
    for key in order:
        if len(chosen) == len(sizes) - 1:
            break
        if abs(total + sizes[key] - target) < abs(total - target):
            chosen.add(key)
            total += sizes[key]
    # Every document is more than twice the target: the shortest one overshoots it least.
    return chosen or {min(order, key=sizes.__getitem__)}

"""Which documents train and which validate."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sweeper.data.document import Document, document_key
from sweeper.errors import DataError


@dataclass(frozen=True)
class Split:
    """Two sides that share no text.

    Attributes:
        train: In the order of the corpus, at least one.
        validation: In the order of the corpus, at least one.
        num_duplicates: Documents left out, because the same text (but for whitespace) came before.
    """

    train: tuple[Document, ...]
    validation: tuple[Document, ...]
    num_duplicates: int


def split_documents(documents: Sequence[Document], *, validation: float, seed: int) -> Split:
    """Sets documents aside for validation: whole ones, after exact de-duplication.

    The choice goes by a hash of the seed and each text, so it hangs neither on the order of the
    documents nor on the machine, and a corpus that grows keeps most of its validation set.

    Args:
        documents: The corpus.
        validation: Share of the characters that should validate, in (0, 1). Whole documents
            come as near to it as they can.
        seed: Picks the documents.

    Raises:
        DataError: Fewer than two different documents.
    """
    if not 0 < validation < 1:
        raise ValueError(f"validation is a share between 0 and 1, not {validation}")
    distinct = _drop_duplicates(documents)
    if len(distinct) < 2:
        raise DataError(
            f"the corpus has {len(documents)} documents, {len(distinct)} of them different; one "
            f"side for training and one for validation need at least 2: add text, or separate "
            f"documents by blank lines, headings or Q:/A: markers"
        )
    chosen = _choose(list(distinct), [len(d.text) for d in distinct.values()], validation, seed)
    return Split(
        train=tuple(d for key, d in distinct.items() if key not in chosen),
        validation=tuple(d for key, d in distinct.items() if key in chosen),
        num_duplicates=len(documents) - len(distinct),
    )


def _drop_duplicates(documents: Sequence[Document]) -> dict[bytes, Document]:
    """Each text once, under the hash of its words; the first of equals stays."""
    distinct: dict[bytes, Document] = {}
    for document in documents:
        distinct.setdefault(document_key(document), document)
    return distinct


def _choose(
    keys: list[bytes], num_characters: list[int], validation: float, seed: int
) -> set[bytes]:
    size = dict(zip(keys, num_characters, strict=True))
    target = validation * sum(num_characters)
    order = sorted(keys, key=lambda key: hashlib.sha256(f"{seed} ".encode() + key).digest())
    chosen: set[bytes] = set()
    total = 0
    for key in order:
        if len(chosen) == len(keys) - 1:
            break
        if abs(total + size[key] - target) < abs(total - target):
            chosen.add(key)
            total += size[key]
    # Every document is more than twice the target: the shortest one overshoots it least.
    return chosen or {min(order, key=size.__getitem__)}

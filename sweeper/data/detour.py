"""A stream that is read elsewhere for a while, so that a step learns from another batch."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class Tokens(Protocol):
    """Tokens that can be read at any position."""

    def read(self, start: int, count: int) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """See `TokenStream.read`."""


class Detour(NamedTuple):
    """A stream but for what is read from some positions on.

    Attributes:
        stream: The stream.
        start: First position that is replaced.
        end: One past the last.
        shift: How much further on is read instead, in tokens.
    """

    stream: Tokens
    start: int
    end: int
    shift: int

    def read(self, start: int, count: int) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
        """As `TokenStream.read`; a read goes by where it begins, so that no batch is in two."""
        shift = self.shift if self.start <= start < self.end else 0
        return self.stream.read(start + shift, count)

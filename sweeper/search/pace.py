"""The pace of a trial: how soon it came to which loss."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

# Under a rate that warms up linearly the gain grows about as the square of the tokens, no faster.
_POWER_BEFORE = 2.0
_FAR_BELOW = 1e-3  # of the first record's tokens: where the curve is taken to begin


@dataclass(frozen=True)
class Pace:
    """What was gained since the base's own loss, and by when first.

    Between two records the gain is taken to grow as a power of the tokens, and before the first as
    their square. Shapes: R records, with growing tokens and growing gains, the first one a guess.

    Attributes:
        log_tokens_R: Natural logarithm of the tokens.
        log_gain_R: Of the gain in nats.
    """

    log_tokens_R: NDArray[np.float64]
    log_gain_R: NDArray[np.float64]

    @classmethod
    def of(cls, start_loss: float, points: Iterable[tuple[int, float]]) -> Self | None:
        """The pace of a trial; None where it has gained nothing.

        Args:
            start_loss: The base's own, in nats.
            points: Tokens and validation losses, in any order.
        """
        records: list[tuple[float, float]] = []
        for tokens, loss in sorted(points):
            if tokens > 0 and start_loss - loss > (records[-1][1] if records else 0.0):
                records.append((float(tokens), start_loss - loss))
        if not records:
            return None
        tokens_R, gain_R = np.log(np.array(records)).T
        back = np.log(_FAR_BELOW)
        return cls(
            np.concatenate([[tokens_R[0] + back], tokens_R]),
            np.concatenate([[gain_R[0] + _POWER_BEFORE * back], gain_R]),
        )

    @property
    def first_tokens(self) -> int:
        """Of the first record: what was before is a guess."""
        return round(float(np.exp(self.log_tokens_R[1])))

    @property
    def gain(self) -> float:
        """The most that was gained, in nats."""
        return float(np.exp(self.log_gain_R[-1]))

    def tokens_to(self, gain: float) -> float:
        """Tokens after which a gain above 0 and up to the most had been made, in nats."""
        return float(np.exp(np.interp(np.log(gain), self.log_gain_R, self.log_tokens_R)))

    def gain_at(self, tokens: float) -> float:
        """What had been gained after so many tokens, above 0; the most beyond the last record."""
        return float(np.exp(np.interp(np.log(tokens), self.log_tokens_R, self.log_gain_R)))

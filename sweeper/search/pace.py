"""The pace of a study: how soon its leading trials came to which loss."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

# A loss under a rate that warms up linearly falls about as the square of the tokens, no faster.
_MOST_POWER = 2.0
_LEAST_POWER = 0.5
_FAR_BELOW = 1e-3  # of the first record's tokens: where the curve is taken to begin


@dataclass(frozen=True)
class Pace:
    """What was gained since the base's own loss, and by when first.

    Between two records, and before the first, the gain is taken to grow as a power of the tokens.
    Shapes: R records, with growing tokens and growing gains.

    Attributes:
        log_tokens_R: Natural logarithm of the tokens.
        log_gain_R: Of the gain in nats.
    """

    log_tokens_R: NDArray[np.float64]
    log_gain_R: NDArray[np.float64]

    @classmethod
    def of(cls, start_loss: float, points: Iterable[tuple[int, float]]) -> Self | None:
        """The pace of some trials together; None where they have gained nothing.

        Args:
            start_loss: The base's own, in nats.
            points: Tokens and validation losses of all of them, in any order.
        """
        records: list[tuple[float, float]] = []
        for tokens, loss in sorted(points):
            if tokens > 0 and start_loss - loss > (records[-1][1] if records else 0.0):
                records.append((float(tokens), start_loss - loss))
        if not records:
            return None
        tokens_R, gain_R = np.log(np.array(records)).T
        power = _MOST_POWER
        if len(records) > 1:
            rise = (gain_R[1] - gain_R[0]) / max(tokens_R[1] - tokens_R[0], 1e-9)
            power = float(np.clip(rise, _LEAST_POWER, _MOST_POWER))
        back = np.log(_FAR_BELOW)
        return cls(
            np.concatenate([[tokens_R[0] + back], tokens_R]),
            np.concatenate([[gain_R[0] + power * back], gain_R]),
        )

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

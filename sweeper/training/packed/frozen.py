"""Hidden states below the first adapter: functions of the tokens alone, and so worth keeping.

Trials of one seed read the same blocks, and every evaluation reads the same ones again.

Shapes: B blocks, S tokens, D width.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

MOST_BYTES = 512 * 1024 * 1024


class _Key(NamedTuple):
    layer: int
    tokens: bytes


class FrozenStates:
    """Hidden states of blocks, the ones that were not asked for longest dropped first.

    Args:
        most_bytes: What they may take in memory.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._states: OrderedDict[_Key, torch.Tensor] = OrderedDict()
        self._num_bytes = 0

    @property
    def num_bytes(self) -> int:
        """What they take now."""
        return self._num_bytes

    def of(
        self,
        inputs_BS: NDArray[np.int64],
        layer: int,
        compute: Callable[[NDArray[np.int64]], torch.Tensor],
    ) -> torch.Tensor:
        """The hidden states before a layer, `[B, S, D]`.

        Args:
            inputs_BS: Tokens of blocks.
            layer: Index of the first layer that has an adapter.
            compute: Makes them for blocks that are not kept.
        """
        keys = [_Key(layer, block.tobytes()) for block in inputs_BS]
        missing = [place for place, key in enumerate(keys) if key not in self._states]
        made = compute(inputs_BS[missing]) if missing else None
        fresh = (
            {keys[place]: made[n] for n, place in enumerate(missing)} if made is not None else {}
        )
        states_BSD = torch.stack([fresh[k] if k in fresh else self._used(k) for k in keys])
        for key, state_SD in fresh.items():
            self._keep(key, state_SD)
        return states_BSD

    def _used(self, key: _Key) -> torch.Tensor:
        self._states.move_to_end(key)
        return self._states[key]

    def _keep(self, key: _Key, state_SD: torch.Tensor) -> None:
        self._states[key] = state_SD.clone()
        self._num_bytes += state_SD.nbytes
        while self._num_bytes > self._most_bytes:
            _, dropped = self._states.popitem(last=False)
            self._num_bytes -= dropped.nbytes

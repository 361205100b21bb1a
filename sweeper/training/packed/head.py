"""The head and its loss in one: logits exist for a few rows at a time, and once.

Shapes: N rows (tokens whose target counts), D width, V vocabulary.
"""

from __future__ import annotations

import torch

from sweeper.training.kernels.choice import rows_on

_CPU_LOGITS = 1 << 20  # 4 MB of fp32: they stay in the cache from one operation to the next
_GPU_LOGITS = 1 << 26
_LEAST_ROWS = 128  # fewer would starve the matrix product


def rows_at_once(vocabulary: int, device: torch.device) -> int:
    """How many rows' logits are held at a time."""
    logits = _CPU_LOGITS if device.type == "cpu" else _GPU_LOGITS
    return max(logits // vocabulary, _LEAST_ROWS)


def loss_and_gradient(
    hidden_ND: torch.Tensor,
    head_VD: torch.Tensor,
    targets_N: torch.Tensor,
    weights_N: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Cross-entropy of every row, and its gradient by the hidden state.

    Args:
        hidden_ND: Hidden states after the last norm.
        head_VD: The head, of the same type.
        targets_N: int64, all of them tokens.
        weights_N: fp32, what each row's loss counts in the sum that the gradient is of; None
            where no gradient is wanted.

    Returns:
        The losses in nats, fp32 `[N]`, and the gradient `[N, D]` of the weighted sum.
    """
    losses_N = torch.empty(len(hidden_ND), dtype=torch.float32, device=hidden_ND.device)
    gradient_ND = None if weights_N is None else torch.empty_like(hidden_ND)
    kernels = rows_on(hidden_ND.device, hidden_ND.dtype)
    size = rows_at_once(len(head_VD), hidden_ND.device)
    for start in range(0, len(hidden_ND), size):
        rows = slice(start, start + size)
        logits_nV = torch.mm(hidden_ND[rows], head_VD.t())
        weights_n = None if weights_N is None else weights_N[rows]
        losses_N[rows] = kernels.cross_entropy(logits_nV, targets_N[rows], weights_n)
        if gradient_ND is not None:
            torch.mm(logits_nV, head_VD, out=gradient_ND[rows])
    return losses_N, gradient_ND

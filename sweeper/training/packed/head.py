"""The head and its loss in one: logits exist for a few rows at a time, and once.

Shapes: N rows (tokens whose target counts), D width, V vocabulary.
"""

from __future__ import annotations

import torch
from torch.nn import functional

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
    size = rows_at_once(len(head_VD), hidden_ND.device)
    for start in range(0, len(hidden_ND), size):
        rows = slice(start, start + size)
        logits_nV = torch.mm(hidden_ND[rows], head_VD.t()).float()
        if gradient_ND is None or weights_N is None:
            losses_N[rows] = functional.cross_entropy(logits_nV, targets_N[rows], reduction="none")
            continue
        # One exponential for the loss and for its gradient.
        targets_n1 = targets_N[rows, None]
        logits_nV -= logits_nV.amax(1, keepdim=True)
        wanted_n1 = logits_nV.gather(1, targets_n1)
        total_n1 = logits_nV.exp_().sum(1, keepdim=True)
        losses_N[rows] = (total_n1.log() - wanted_n1).squeeze(1)
        # d loss / d logits = softmax - one-hot, each row times its weight
        weights_n1 = weights_N[rows, None]
        logits_nV *= weights_n1 / total_n1
        logits_nV.scatter_(1, targets_n1, logits_nV.gather(1, targets_n1) - weights_n1)
        gradient_ND[rows] = torch.mm(logits_nV.to(head_VD.dtype), head_VD)
    return losses_N, gradient_ND

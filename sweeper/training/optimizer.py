"""AdamW over the adapter's weights, and its state by weight name."""

from __future__ import annotations

from collections.abc import Mapping

import torch

BETAS = (0.9, 0.999)
EPSILON = 1e-8
_MOMENTS = ("exp_avg", "exp_avg_sq", "step")


def new_optimizer(
    weights: Mapping[str, torch.nn.Parameter], weight_decay: float
) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) with a rate set at every step."""
    return torch.optim.AdamW(
        list(weights.values()), lr=0.0, betas=BETAS, eps=EPSILON, weight_decay=weight_decay
    )


def gradient_norm(weights: Mapping[str, torch.nn.Parameter]) -> torch.Tensor:
    """Global L2 norm of all gradients, a scalar tensor on their device."""
    gradients = [weight.grad for weight in weights.values() if weight.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)


def clip_gradient(
    weights: Mapping[str, torch.nn.Parameter], max_norm: float, norm: torch.Tensor
) -> None:
    """Scale all gradients so that their global norm, now `norm`, is at most `max_norm`."""
    torch.nn.utils.clip_grads_with_norm_(list(weights.values()), max_norm, norm)


def optimizer_state(
    optimizer: torch.optim.AdamW, weights: Mapping[str, torch.nn.Parameter]
) -> dict[str, torch.Tensor]:
    """Moments and step count of every weight, named `NAME/exp_avg` and so on."""
    return {
        f"{name}/{moment}": optimizer.state[weight][moment].detach().cpu()
        for name, weight in weights.items()
        if weight in optimizer.state
        for moment in _MOMENTS
    }


def moment_shapes(weights: Mapping[str, torch.nn.Parameter]) -> dict[str, torch.Size]:
    """Names and shapes in `optimizer_state` once a step was taken."""
    return {
        f"{name}/{moment}": torch.Size() if moment == "step" else weight.shape
        for name, weight in weights.items()
        for moment in _MOMENTS
    }


def load_optimizer_state(
    optimizer: torch.optim.AdamW,
    weights: Mapping[str, torch.nn.Parameter],
    tensors: Mapping[str, torch.Tensor],
) -> None:
    """The inverse of `optimizer_state`, exact.

    Args:
        optimizer: Over the weights.
        weights: By name.
        tensors: All of `moment_shapes`, or none, as before the first step.
    """
    optimizer.state.clear()
    for name, weight in weights.items() if tensors else ():
        optimizer.state[weight] = {
            moment: tensors[f"{name}/{moment}"].clone()
            if moment == "step"
            else tensors[f"{name}/{moment}"].to(weight.device, copy=True)
            for moment in _MOMENTS
        }

"""What a CPU does between matrix products, row by row.

Shapes: N rows, D width, P pairs of a block and a head, Q queries, L keys, V vocabulary.
"""

from __future__ import annotations

from typing import Protocol

import torch


class Rows(Protocol):
    """These operations for one type of numbers: that of what goes into matrix products."""

    def gelu(self, x_ND: torch.Tensor) -> torch.Tensor:
        """GELU in its tanh form (Hendrycks & Gimpel 2016, arXiv:1606.08415)."""

    def gelu_backward(self, x_ND: torch.Tensor, dy_ND: torch.Tensor) -> torch.Tensor:
        """The gradient of `x`, given that of what `gelu` made of it; rounded once."""

    def add_norm(
        self,
        stream_ND: torch.Tensor,
        added_ND: torch.Tensor | None,
        weight_D: torch.Tensor,
        bias_D: torch.Tensor,
        epsilon: float,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """LayerNorm of a sum (Ba et al. 2016, arXiv:1607.06450).

        Args:
            stream_ND: fp32.
            added_ND: What is added to it, in the type; None for nothing.
            weight_D: fp32.
            bias_D: fp32.
            epsilon: Added to the variance.

        Returns:
            The sum, fp32; its norm, in the type; mean and 1 / standard deviation of each row of
            the sum, fp32.
        """

    def add_norm_backward(
        self,
        saved: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor],
        d_normed_ND: torch.Tensor,
        d_sum_ND: torch.Tensor | None,
        *,
        wants_added: bool,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """The gradient of both terms of `add_norm`.

        Args:
            saved: The sum, the weight, means and 1 / standard deviations.
            d_normed_ND: The gradient of the norm, in the type.
            d_sum_ND: That of the sum on other ways, fp32; None for none.
            wants_added: Whether there was something to add.

        Returns:
            The gradient in fp32 for the stream, and in the type for what was added to it.
        """

    def softmax(self, scores_PQL: torch.Tensor, scale: float, first: int) -> torch.Tensor:
        """Probabilities of the keys up to a query's own position, in the type; 0 for later ones.

        Args:
            scores_PQL: fp32.
            scale: What they are multiplied by; positive.
            first: The position of the first query among the keys.
        """

    def cross_entropy(
        self, logits_NV: torch.Tensor, targets_N: torch.Tensor, weights_N: torch.Tensor | None
    ) -> torch.Tensor:
        """Losses in nats, fp32 `[N]`; the logits become the gradient of their weighted sum.

        Args:
            logits_NV: In the type; overwritten where there are weights.
            targets_N: int64, all of them tokens.
            weights_N: fp32; None where no gradient is wanted.
        """

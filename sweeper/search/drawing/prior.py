"""Where the literature expects the best learning rate of LoRA, before any trial."""

from __future__ import annotations

import json
import math

import numpy as np

from sweeper.study import Range, StudySpec

# Schulman et al. 2025, "LoRA Without Regret" (thinkingmachines.ai/blog/lora): the best rate is ten
# times that of full fine-tuning whatever the rank, and falls with the width to a power that was
# fitted on Llama models; for 2,000 wide it is 5e-4.
_FULL_RATE, _LORA_FACTOR = 5e-5, 10.0
_WIDTH, _WIDTH_POWER = 2_000, 0.781
_SPREAD = math.log(3)  # two thirds of the draws lie within a factor of three

_WIDTHS = {
    "builtin:tiny": 128,
    "builtin:untrained": 128,
    "distilgpt2": 768,
    "gpt2": 768,
    "gpt2-medium": 1_024,
    "gpt2-large": 1_280,
    "gpt2-xl": 1_600,
}


def expected_rate(width: int) -> float:
    """The best learning rate of LoRA that is expected for a base of a width."""
    return _FULL_RATE * _LORA_FACTOR * float((_WIDTH / width) ** _WIDTH_POWER)


def width_of(spec: StudySpec) -> int:
    """The length of a token's hidden state in the study's base.

    Where neither the name nor a configuration beside the weights tells it, the width for which
    the literature's rate holds as it is.
    """
    model = spec.model or ""
    if model in _WIDTHS:
        return _WIDTHS[model]
    config = spec.folder / model / "config.json"
    if not config.is_file():
        return _WIDTH
    values = json.loads(config.read_text("utf-8"))
    return int(values.get("n_embd") or values.get("hidden_size") or _WIDTH)


def draw_rate(spec: StudySpec, generator: np.random.Generator) -> float | None:
    """A learning rate about the expected one, log-normally and within the space's range.

    None where the space has no such range, or none of the draws lies in it.
    """
    dimension = spec.space.get("learning_rate")
    if not isinstance(dimension, Range):
        return None
    centre = math.log(expected_rate(width_of(spec)))
    rates = np.exp(generator.normal(centre, _SPREAD, 100))
    within = rates[(rates >= dimension.low) & (rates <= dimension.high)]
    return float(within[0]) if len(within) else None

"""What a process trains with: plain values, so that they travel and are kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class PrecisionChoice:
    """What `precision: auto` came to, and why; part of a trial's manifest.

    Attributes:
        precision: `fp32` or `bf16`.
        reason: In words.
        product_ms: Milliseconds of one matrix product of the base's size, by precision.
        step_ms: Milliseconds of one step; empty where the product decided.
        base_loss: The base's loss in nats; empty where the speed decided.
    """

    precision: str
    reason: str
    product_ms: dict[str, float] = field(default_factory=dict)
    step_ms: dict[str, float] = field(default_factory=dict)
    base_loss: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return asdict(self)


@dataclass(frozen=True)
class Setup:
    """What one worker trains with.

    Attributes:
        threads: CPU threads of its process.
        slots: Trials that it trains at a time, where the engine packs them.
        precision: What `precision: auto` came to; None: not decided yet.
    """

    threads: int
    slots: int = 1
    precision: PrecisionChoice | None = None

"""How a diagnosis writes numbers: losses, steps, rates, sizes of events, values with origins."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sweeper.curves import Finding, FindingKind
from sweeper.diagnosis.case import RunConfig

TIMES = "\u00d7"

KIND_WORDS = {
    FindingKind.SPIKE: "spike",
    FindingKind.DIVERGENCE: "divergence",
    FindingKind.NON_FINITE: "loss that is no number",
    FindingKind.PLATEAU: "plateau",
    FindingKind.OVERFIT: "overfitting",
    FindingKind.THROUGHPUT_DROP: "drop in speed",
    FindingKind.NEVER_LEARNED: "loss that never fell",
    FindingKind.WEIGHTS_NOT_UPDATING: "weights that do not update",
    FindingKind.EVAL_NOT_TRACKING: "evaluation that does not follow training",
}


def loss(value: float | None) -> str:
    """A loss in nats with four decimals, `6.7096`; small ones with four digits."""
    if value is None:
        return "unknown"
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if 0 < abs(value) < 0.1:
        return f"{value:.4g}"
    return f"{value:.4f}" if abs(value) < 1e6 else f"{value:.3e}"


def nats(value: float) -> str:
    """A difference of losses with its sign, `+2.93`."""
    if abs(value) >= 1e6:
        return f"{value:+.2e}"
    if abs(value) < 5e-5:
        return "0.0000"
    return f"{value:+.2f}" if abs(value) >= 0.1 else f"{value:+.4f}"


def steps(value: float) -> str:
    """A count with thousands separators."""
    return f"{round(value):,}"


def plural(amount: int, noun: str) -> str:
    """`1 step`, `1,500 steps`."""
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {noun}s"


def rate(value: float | None) -> str:
    """A learning rate, `1.50e-5`."""
    if value is None:
        return "unknown"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def percent(fraction: float) -> str:
    """A signed share, `+44.1 %`; without decimals from 1000 % on, then as a factor."""
    if abs(fraction) >= 1e4:
        return f"{fraction:+.1e} times"
    form = "+.1f" if abs(fraction) < 10 else "+,.0f"
    return f"{format(100 * fraction, form)} %"


def factor(value: float) -> str:
    """A factor, such as 18.8 after a multiplication sign."""
    return f"{TIMES} {value:.3g}" if value < 1e4 else f"{TIMES} {value:.1e}"


def perplexity(height_nats: float) -> str:
    """The factor on the perplexity that a rise in the loss means."""
    return factor(math.exp(height_nats)) if height_nats < 700 else f"{TIMES} more than 1e300"


def setting(value: object) -> str:
    """One setting's value as people write it."""
    if value is None:
        return "off"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return steps(value)
    if isinstance(value, float):
        return rate(value) if 0 < abs(value) < 0.01 else f"{value:g}"
    if isinstance(value, (list, tuple)):
        return "+".join(str(part) for part in value)
    return str(value)


def with_origin(config: RunConfig, name: str) -> str:
    """A known setting with where it is from in brackets."""
    origin = config.origins.get(name)
    return setting(config.get(name)) + (f" ({origin})" if origin else "")


def joined(parts: Sequence[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def span(start: int, end: int) -> str:
    """`step 2,000`, or `steps 1,000 to 2,500`."""
    return f"step {start:,}" if start == end else f"steps {start:,} to {end:,}"


def finding_words(finding: Finding) -> str:
    """A finding in a phrase: what and where."""
    return f"{KIND_WORDS[finding.kind]} at {span(finding.start_step, finding.end_step)}"

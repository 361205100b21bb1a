"""The part of a study file that asks for other seeds: how often, and of what."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Self

from pydantic import Field, model_validator
from pydantic.json_schema import JsonSchemaValue

from sweeper.study.problems import Issue, refusal, shown, wrong
from sweeper.study.quantities import Percent, Quantity, Real, Whole
from sweeper.study.section import Section

LEAST_PAIRS = 5  # with fewer, no interval is narrow enough to say anything
MOST_PAIRS = 100
MOST_LOOKS = 5
MOST_TOP = 20


@dataclass(frozen=True)
class _Looks(Quantity):
    """Rising numbers of pairs."""

    allowed = f"one to {MOST_LOOKS} rising whole numbers from {LEAST_PAIRS} to {MOST_PAIRS}"

    def check(self, value: Any) -> tuple[int, ...]:
        numbers = value if isinstance(value, list | tuple) else [value]
        is_whole = all(isinstance(n, int) and not isinstance(n, bool) for n in numbers)
        if not is_whole or not 1 <= len(numbers) <= MOST_LOOKS:
            raise wrong(f"cannot use {shown(value)} (allowed: {self.allowed})")
        rises = all(a < b for a, b in pairwise(numbers))
        if not rises or numbers[0] < LEAST_PAIRS or numbers[-1] > MOST_PAIRS:
            raise wrong(f"cannot use {shown(value)} (allowed: {self.allowed})")
        return tuple(numbers)

    def json_schema(self) -> JsonSchemaValue:
        number = {"type": "integer", "minimum": LEAST_PAIRS, "maximum": MOST_PAIRS}
        several = {"type": "array", "items": number, "minItems": 1, "maxItems": MOST_LOOKS}
        return {"anyOf": [number, several], "examples": [[5, 8]]}


class VerifySpec(Section):
    """Training baseline, hypotheses and best recipes again, on seeds that no trial had."""

    pairs: Annotated[tuple[int, ...], _Looks()] = Field(
        (5, 8),
        description="Seeds at each look; what a look decides is not trained again for the next.",
    )
    alpha: Annotated[float, Percent(high=0.5)] = Field(
        0.05, description="Chance of any wrong verdict in the study, over all looks."
    )
    smallest: Annotated[float, Real(low=0)] = Field(
        0.0,
        description="Smallest difference of losses that matters, in nats: a verdict is given only "
        "where the difference is shown to be larger.",
    )
    top: Annotated[int, Whole(0, MOST_TOP)] = Field(
        1, description="How many of the best recipes are compared, too; 0: none."
    )
    ablate: bool = Field(
        False,
        description="Whether each change of the best recipe is also taken back, and made alone, "
        "on the seeds of the first look.",
    )

    @model_validator(mode="after")
    def _ablates_a_best(self) -> Self:
        if self.ablate and not self.top:
            message = "there is no best recipe with top: 0 (allowed: false; or top: 1 or more)"
            raise refusal("VerifySpec", [Issue(("ablate",), message)])
        return self

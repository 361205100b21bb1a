"""What an hour costs, as a study file says it: `2.10 USD/hour` or `0.40 EUR/worker-hour`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic.json_schema import JsonSchemaValue

from sweeper.study.problems import shown, wrong
from sweeper.study.quantities import Quantity

_PRICE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*([A-Z]{3})\s*/\s*(hour|h|worker-hour)")


@dataclass(frozen=True)
class Price:
    """What time costs.

    Attributes:
        amount: Of money for one hour.
        currency: Its three letters.
        is_per_worker: Whether each worker's hour is paid; else the hour of the machine, whether
            or not it trains and however many workers it has.
    """

    amount: float
    currency: str
    is_per_worker: bool

    def of(self, seconds: float) -> float:
        """What so much time costs."""
        return self.amount * seconds / 3600


def price_from(text: str) -> Price | None:
    """The price that a text says; None where it says none."""
    match = _PRICE.fullmatch(text)
    return Price(float(match[1]), match[2], match[3] == "worker-hour") if match else None


@dataclass(frozen=True)
class PriceText(Quantity):
    """A price that can be read, kept as it is written."""

    def check(self, value: Any) -> str:
        price = price_from(value) if isinstance(value, str) else None
        if price is None or not price.amount:
            allowed = "allowed: an amount above 0 such as 2.10 USD/hour or 0.40 EUR/worker-hour"
            raise wrong(f"cannot read {shown(value)} as a price ({allowed})")
        return str(value)

    def json_schema(self) -> JsonSchemaValue:
        return {
            "type": "string",
            "pattern": f"^{_PRICE.pattern}$",
            "examples": ["2.10 USD/hour", "0.40 EUR/worker-hour"],
        }

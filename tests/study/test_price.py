"""What an hour may cost, as a file says it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from sweeper.study import BudgetSpec
from sweeper.study.price import Price


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("2.10 USD/hour", Price(2.1, "USD", False)),
        ("2 EUR / h", Price(2.0, "EUR", False)),
        ("0.40USD/worker-hour", Price(0.4, "USD", True)),
    ],
)
def test_a_price_is_read(text: str, price: Price) -> None:
    budget = BudgetSpec(trials=1, tokens_per_trial=1, price=text)
    assert budget.price_per_hour == price
    assert BudgetSpec.model_validate(budget.model_dump(by_alias=True)) == budget


@pytest.mark.parametrize(
    "value", [2.1, "2.10", "USD 2/hour", "0 USD/hour", "2 USD/day", "-1 USD/h"]
)
def test_what_is_no_price_is_refused(value: object) -> None:
    with pytest.raises(ValidationError, match=r"allowed: an amount above 0 such as 2\.10 USD/hour"):
        BudgetSpec.model_validate({"trials": 1, "tokens_per_trial": 1, "price": value})


def test_an_hour_has_its_price() -> None:
    assert Price(2.0, "USD", False).of(1800) == 1.0

"""Quantities as a study file writes them, through the sections that use them."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from sweeper.study import BudgetSpec, DataSpec, Hyperparameters, SpikeRule


def message(error: ValidationError) -> str:
    (details,) = error.errors()
    return str(details["msg"])


@pytest.mark.parametrize(
    ("written", "tokens"),
    [
        (1, 1),
        (40_000, 40_000),
        ("40k", 40_000),
        ("40 k", 40_000),
        ("1.5M", 1_500_000),
        ("0.25k", 250),
        ("2G", 2_000_000_000),
        ("1K", 1_000),
    ],
)
def test_tokens(written: object, tokens: int) -> None:
    got = BudgetSpec.model_validate({"trials": 1, "tokens_per_trial": written}).tokens_per_trial
    assert got == tokens
    assert type(got) is int


@pytest.mark.parametrize(
    "written", ["40000", "40 kg", "0.0001k", "-4k", "k", "1_000", "", 0, -1, 4e5, True, None, "0k"]
)
def test_tokens_refused(written: object) -> None:
    with pytest.raises(ValidationError) as caught:
        BudgetSpec.model_validate({"trials": 1, "tokens_per_trial": written})
    assert "such as 40000, 40k or 1.5M" in message(caught.value)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("90s", 90.0),
        ("30min", 1800.0),
        ("2h", 7200.0),
        ("1h30min", 5400.0),
        ("1h 30min", 5400.0),
        ("1.5h", 5400.0),
        ("1d2h3min4s", 93_784.0),
        (12, 12.0),
        (0.5, 0.5),
    ],
)
def test_duration(written: object, seconds: float) -> None:
    budget = {"trials": 1, "tokens_per_trial": 9, "wall_clock": written}
    assert BudgetSpec.model_validate(budget).wall_clock_s == seconds


@pytest.mark.parametrize(
    "written", ["5m", "min", "", "1", "30min1h", "-3s", "1h1h", 0, -3, True, "0s", float("inf")]
)
def test_duration_refused(written: object) -> None:
    with pytest.raises(ValidationError) as caught:
        BudgetSpec.model_validate({"trials": 1, "tokens_per_trial": 9, "wall_clock": written})
    assert "30min, 2h, 1h30min" in message(caught.value)


@pytest.mark.parametrize(
    ("written", "share"),
    [("5%", 0.05), ("10 %", 0.1), ("0.1%", 0.001), ("12.5%", 0.125), (0.05, 0.05), ("50%", 0.5)],
)
def test_percent(written: object, share: float) -> None:
    got = DataSpec.model_validate({"train": "builtin:pydoc-qa", "validation": written})
    assert got.validation == share


@pytest.mark.parametrize("written", [0, "0%", "51%", 5, "5", "%", -0.1, True, "5%%", float("nan")])
def test_percent_refused(written: object) -> None:
    with pytest.raises(ValidationError) as caught:
        DataSpec.model_validate({"train": "builtin:pydoc-qa", "validation": written})
    assert "above 0% and at most 50%, such as 5% or 0.05" in message(caught.value)


def test_share_of_a_rule_may_be_whole() -> None:
    assert SpikeRule.model_validate({"patience": "100%"}).patience == 1.0


@pytest.mark.parametrize(
    ("name", "written", "expected"),
    [
        ("batch_size", "8", "expected a whole number, got the text '8'; remove the quotes"),
        ("batch_size", 8.0, "expected a whole number, got the number 8.0"),
        ("batch_size", True, "expected a whole number, got true"),
        ("batch_size", None, "expected a whole number, got nothing"),
        ("batch_size", 0, "the number 0 is too small"),
        ("batch_size", 10**400, "… is too large"),
        ("block_size", 1, "the number 1 is too small"),
        ("learning_rate", "2e-5", "expected a number, got the text '2e-5'; remove the quotes"),
        ("learning_rate", [1], "expected a number, got a list"),
        ("learning_rate", False, "expected a number, got false"),
        ("learning_rate", 0, "the number 0 is out of range"),
        ("learning_rate", 11, "the number 11 is out of range"),
        ("learning_rate", float("nan"), "the number nan is not finite"),
        ("learning_rate", 10**400, "… is not finite"),
        ("dropout", 1, "the number 1 is out of range"),
        ("clip_norm", 0, "the number 0 is out of range"),
        ("seed", 2**31, "2147483648 is too large (allowed: a whole number from 0 to 2147483647)"),
        ("schedule", "cosin", "the text 'cosin' is not one of the choices, did you mean cosine?"),
        ("schedule", None, "nothing is not one of the choices"),
    ],
)
def test_number_refused(name: str, written: object, expected: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Hyperparameters.model_validate({name: written})
    assert expected in message(caught.value)
    assert "(allowed: " in message(caught.value)

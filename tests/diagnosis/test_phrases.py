from __future__ import annotations

import math

import pytest

from sweeper.curves import FindingKind
from sweeper.diagnosis import phrases
from tests.diagnosis.fakes import config_of, finding, spike


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (6.70961, "6.7096"),
        (0.01234567, "0.01235"),
        (0.0, "0.0000"),
        (-0.0323, "-0.0323"),
        (1e300, "1.000e+300"),
        (math.nan, "NaN"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
        (None, "unknown"),
    ],
)
def test_losses_have_four_decimals_or_four_digits(value: float | None, text: str) -> None:
    assert phrases.loss(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e9, "+1.00e+09"),
        (2.9335, "+2.93"),
        (-0.25, "-0.25"),
        (0.0312, "+0.0312"),
        (-0.00004, "0.0000"),
    ],
)
def test_differences_carry_their_sign(value: float, text: str) -> None:
    assert phrases.nats(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.4411, "+44.1 %"), (-0.41, "-41.0 %"), (55.11, "+5,511 %"), (1e6, "+1.0e+06 times")],
)
def test_shares_are_percentages_until_they_are_factors(value: float, text: str) -> None:
    assert phrases.percent(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.5e-5, "1.50e-5"), (1e-3, "1.00e-3"), (0.5, "5.00e-1"), (None, "unknown")],
)
def test_rates_are_written_without_needless_zeros(value: float | None, text: str) -> None:
    assert phrases.rate(value) == text


@pytest.mark.parametrize(
    ("height", "text"), [(2.9335, "\u00d7 18.8"), (50.0, "\u00d7 5.2e+21"), (800.0, "more than")]
)
def test_a_rise_is_a_factor_on_the_perplexity(height: float, text: str) -> None:
    assert text in phrases.perplexity(height)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "off"),
        (True, "yes"),
        (5000, "5,000"),
        (2e-5, "2.00e-5"),
        (0.1, "0.1"),
        (["c_attn", "c_fc"], "c_attn+c_fc"),
        ("cosine", "cosine"),
    ],
)
def test_settings_are_written_as_people_do(value: object, text: str) -> None:
    assert phrases.setting(value) == text


def test_a_setting_names_its_origin() -> None:
    config = config_of({"block_size": 256}, "run.yaml:3")

    assert phrases.with_origin(config, "block_size") == "256 (run.yaml:3)"


@pytest.mark.parametrize(
    ("parts", "text"),
    [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (list("abc"), "a, b and c")],
)
def test_lists_are_joined_as_in_speech(parts: str, text: str) -> None:
    assert phrases.joined(list(parts)) == text


def test_a_finding_is_named_by_its_first_and_last_step() -> None:
    assert phrases.finding_words(spike(2000)) == "spike at step 2,000"
    assert phrases.finding_words(spike(2000, 2500)) == "spike at steps 2,000 to 2,500"
    flat = finding(FindingKind.PLATEAU, 1000, 2500)
    assert phrases.finding_words(flat) == "plateau at steps 1,000 to 2,500"

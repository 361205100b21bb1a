from __future__ import annotations

import pytest

from sweeper.diagnosis.cause import Advice
from sweeper.diagnosis.remedies import (
    bigger_batch,
    block_arithmetic,
    lowered_rate,
    proposed,
    raised_rate,
    rounded,
    smaller_block,
    trained_embeddings,
)
from tests.diagnosis.rules.cases import case_of


def advice(**change: object) -> Advice:
    return Advice("some", "Do it", "It helps.", "It does not.", change)


def test_only_changes_that_a_study_accepts_are_proposed() -> None:
    good, bad, unknown = advice(rank=4), advice(learning_rate=20.0), advice(beta2=0.95)

    assert proposed(good, None, bad, unknown, advice()) == (good, advice())


@pytest.mark.parametrize(("value", "text"), [(0.3 * 2e-5, "6e-06"), (10 * 2e-5, "0.0002")])
def test_rates_are_written_as_one_would(value: float, text: str) -> None:
    assert repr(rounded(value)) == text


@pytest.mark.parametrize(
    ("config", "accumulation", "title"),
    [
        ({"batch_size": 8}, 4, "Accumulate 4 micro-batches, 32 blocks a step"),
        ({"batch_size": 2, "accumulation": 3}, 12, "Accumulate 12 micro-batches, 24 blocks a step"),
    ],
)
def test_four_times_the_effective_batch(
    config: dict[str, object], accumulation: int, title: str
) -> None:
    found = bigger_batch(case_of(config=config))

    assert found is not None
    assert (found.change, found.title) == ({"accumulation": accumulation}, title)


def test_nothing_is_advised_about_what_is_not_known() -> None:
    case = case_of(config={"block_size": 2})

    assert bigger_batch(case) is None
    assert smaller_block(case) is None
    assert raised_rate(case, 10.0, "why") is None
    assert lowered_rate(case, "why") is None


@pytest.mark.parametrize("also", ["embeddings", "embeddings+norms", ["norms", "embeddings"]])
def test_what_is_trained_already_is_not_advised(also: object) -> None:
    assert trained_embeddings(case_of(config={"train_also": also}), "why") is None
    assert trained_embeddings(case_of(config={"train_also": "norms"}), "why") is not None


def test_the_arithmetic_of_a_block_takes_the_widths_that_are_known() -> None:
    config = case_of(
        config={"block_size": 512, "batch_size": 2, "accumulation": 4, "hidden_size": 256}
    ).config

    reason = block_arithmetic(config, 512, 256)

    assert "(4,096 to 2,048)" in reason
    assert "25 % of a layer's arithmetic at width 256" in reason

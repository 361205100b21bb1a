from __future__ import annotations

import pytest

from sweeper.curves import FindingKind
from sweeper.diagnosis.case import Case, RunConfig
from sweeper.diagnosis.rules.trainables import adapter_parameters
from tests.diagnosis.rules.cases import (
    RECORDED_CONFIG,
    answer,
    case_of,
    found,
    recorded_case,
    told,
)

REPEATS = found(FindingKind.WEIGHTS_NOT_UPDATING, 0, 13)
NEVER = found(FindingKind.NEVER_LEARNED, 0, 5)
SHAPE = {
    "rank": 8,
    "hidden_size": 768,
    "num_layers": 12,
    "target_modules": "c_attn+c_proj+c_fc",
}
# Inputs and outputs of c_attn, of c_proj in the attention, of c_fc, and of c_proj after it.
GPT2_ADAPTER = 12 * 8 * ((768 + 2304) + (768 + 768) + (768 + 3072) + (3072 + 768))


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (case_of([3.0, 2.9] * 7, findings=[REPEATS]), "supported: A weights_not_updating."),
        (case_of([3.0] * 4, grad_norm=[0.0] * 4), "supported: All 4 logged gradient norms are"),
        (case_of([9.0, 5.0, 4.0]), "contradicted: The loss fell from 9.0000 to 4.0000"),
        (
            case_of([9.0, 5.0, 4.0], grad_norm=[0.0] * 3),  # nobody measured these norms
            "contradicted: The loss fell",
        ),
        (case_of([3.0, 3.01, 2.99], findings=[NEVER]), "supported: A never_learned."),
        (case_of([3.0, 3.01, 2.99]), "untestable: The loss fell by 0.01"),
        (case_of([3.0]), "untestable: Fewer than two finite losses"),
    ],
)
def test_adapter_not_training(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "adapter-not-training"))


def test_losses_that_repeat_exactly_are_a_proof() -> None:
    repeating = answer(case_of([3.0, 2.9] * 7, findings=[REPEATS]), "adapter-not-training")
    flat = answer(case_of([3.0, 3.01, 2.99], findings=[NEVER]), "adapter-not-training")

    assert repeating.confidence >= 0.95
    assert flat.confidence <= 0.5


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, GPT2_ADAPTER),
        ({"target_modules": "c_attn"}, 294_912),
        ({"rank": 16}, 2 * GPT2_ADAPTER),
        ({"train_also": "embeddings"}, None),
        ({"target_modules": "q_proj"}, None),
        ({"rank": None}, None),
    ],
)
def test_parameters_of_an_adapter(change: dict[str, object], expected: int | None) -> None:
    assert adapter_parameters(RunConfig(SHAPE | change)) == expected


def slow(gain: float) -> Case:
    """A recorded configuration with another fall in its first 500 steps."""
    return case_of([9.227, 9.227 - gain, 9.1 - gain], steps=[0, 500, 1000], config=RECORDED_CONFIG)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (recorded_case(), "supported: The loss fell by 2.27 nats up to step 500"),
        (slow(0.8), "contradicted: The loss fell by 0.93 nats up to step 1,000"),
        (
            case_of(
                [9.2, 6.9], steps=[0, 500], config=dict(RECORDED_CONFIG) | {"learning_rate": 1}
            ),
            "contradicted: The loss fell by 2.30 nats up to step 500: an adapter alone may",
        ),
        (
            case_of([9.2, 6.9], steps=[0, 500], config={"rank": 8}),
            "untestable: The rates up to the loss's first fall are not known",
        ),
        (
            case_of([3.2, 2.9], config={"rank": 8}),
            "untestable: How fast an adapter alone can learn",
        ),
        (case_of([9.2, 6.9], config={"batch_size": 8}), "untestable: rank is not known"),
        (
            case_of([9.2, 6.9], config={"rank": 8, "train_also": "norms"}),
            "untestable: Parts of the base are trained by configuration",
        ),
        (case_of([9.2, 6.9]), "untestable: Missing: config; give the run's settings"),
        (
            case_of([3.2], config=SHAPE | {"trained_parameters": GPT2_ADAPTER}),
            "contradicted: 1,179,648 parameters were trained; the configured adapter has 1,179,648",
        ),
        (
            case_of([3.2], config=SHAPE | {"trained_parameters": 125_000_000}),
            "supported: 125,000,000 parameters were trained; the configured adapter has 1,179,648: "
            "more than meant",
        ),
        (case_of([3.2], config=SHAPE | {"trained_parameters": 1000}), "less than meant"),
    ],
)
def test_wrong_trainables(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "wrong-trainables"))


def test_a_count_proves_what_speed_only_suggests() -> None:
    counted = case_of([3.2], config=SHAPE | {"trained_parameters": 125_000_000})

    assert answer(counted, "wrong-trainables").confidence == 0.9
    assert answer(recorded_case(), "wrong-trainables").confidence < 0.5


def test_rates_in_the_log_bound_adam_as_well() -> None:
    case = case_of(
        [9.2, 9.0, 6.9],
        steps=[0, 100, 500],
        learning_rate=[0.0, 1e-5, 2e-5],
        config={"rank": 8},
    )

    numbers = answer(case, "wrong-trainables").decision.numbers

    assert numbers["sum_of_rates"] == pytest.approx(100 * 1e-5 + 400 * 2e-5)

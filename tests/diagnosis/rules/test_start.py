from __future__ import annotations

import math

import pytest

from sweeper.diagnosis.case import Case, ModelFacts
from sweeper.diagnosis.rules.start import fresh_band
from tests.diagnosis.rules.cases import NAN, answer, case_of, told

FRESH = ModelFacts("base", 50257, 768, 0.02, looks_untrained=True, weights_evidence="std 0.0200")
TRAINED = ModelFacts("base", 50257, 768, 0.02, looks_untrained=False, weights_evidence="std 0.14")
UNREAD = ModelFacts("base", 50257, 768, 0.02)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (case_of([10.98, 9.0], config={"vocab_size": 50257}), "supported: The loss is 10.9800"),
        (case_of([10.82, 9.0], config={"vocab_size": 50257}), "what a model that knows nothing"),
        (case_of([10.6, 9.0], config={"vocab_size": 50257}), "contradicted: The loss is 10.6000"),
        (case_of([11.3, 9.0], config={"vocab_size": 50257}), "worse than a blind guess"),
        (case_of([3.4, 3.0], config={"vocab_size": 50257}), "contradicted: The loss is 3.4000"),
        (case_of([10.98, 9.0], model=UNREAD), "supported: The loss is 10.9800"),
        (case_of([3.4], model=FRESH), "supported: The weights on disk look freshly drawn"),
        (case_of([10.98], model=TRAINED), "contradicted: The weights on disk do not look fresh"),
        (case_of([], model=FRESH), "base: std 0.0200."),
        (case_of([7.2, 6.9]), "among about 1,339 tokens"),
        (case_of([10.9, 9.9]), "It fits a blind guess over GPT-2's 50,257 tokens"),
        (case_of([3.4, 3.0]), "what a pretrained model reads text at"),
        (case_of([4.17, 3.0]), "untestable: vocab_size is not known"),
        (case_of([4.17, 3.0]), "a blind guess among 65 tokens"),
        (case_of([15.5, 9.0]), "more than a blind guess among a million tokens"),
        (case_of([9.0], steps=[5000]), "untestable: The log shows no loss within its first 100"),
        (case_of([NAN, NAN]), "untestable: The log shows no loss"),
        (
            case_of([6.0], steps=[50], config={"vocab_size": 50257}),
            "untestable: The loss is 6.0000 at step 50",
        ),
        (case_of([10.9, 8.0, 4.6]), "training from scratch was meant"),
    ],
)
def test_untrained_base(case: Case, expected: str) -> None:
    assert expected in told(answer(case, "untrained-base"))


def test_fresh_weights_on_disk_are_near_proof_and_a_start_alone_is_not() -> None:
    by_weights = answer(case_of([10.9], model=FRESH), "untrained-base").confidence
    by_vocabulary = answer(case_of([10.9], model=UNREAD), "untrained-base").confidence
    by_start = answer(case_of([10.9]), "untrained-base").confidence

    assert by_weights >= 0.95 > by_vocabulary > by_start == 0.6


def test_the_band_is_that_of_gpt2s_initialisation() -> None:
    """ln V for a zeroed head, d sigma^2 / 2 = 0.154 more for GPT-2 small, 0.15 to spare."""
    low, high = fresh_band(case_of(model=UNREAD), 50257)

    assert low == pytest.approx(math.log(50257) - 0.15)
    assert high == pytest.approx(math.log(50257) + 0.1536 + 0.15)


def test_a_run_that_learns_from_scratch_is_not_told_to_train_its_embeddings() -> None:
    cause = answer(case_of([10.9, 8.0, 4.6]), "untrained-base")

    advice = cause.rule.advise(case_of([10.9, 8.0, 4.6]), cause.decision)

    assert [(each.id, each.urgency) for each in advice] == [("check-base", 3)]

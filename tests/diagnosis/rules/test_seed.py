"""The recorded run: every verdict, and that none of the claims it disproves comes back."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from sweeper.curves.detection import detect
from sweeper.diagnosis.case import RunConfig
from sweeper.diagnosis.cause import Advice, Verdict
from sweeper.diagnosis.rules import judge
from tests.diagnosis.rules.cases import RECORDED_CONFIG, answer, recorded_case, told

VERDICTS = (
    ("untrained-base", "supported", 0.6),
    ("weights-or-eval-state", "supported", 0.55),
    ("throughput", "supported", 0.5),
    ("wrong-trainables", "supported", 0.45),
    ("lr-too-low", "supported", 0.4),
    ("tokenizer-mismatch", "supported", 0.35),
    ("eval-fault", "supported", 0.3),
    ("lr-too-high", "supported", 0.1),
    ("masked-nan", "contradicted", 0.95),
    ("eval-only-nan", "contradicted", 0.95),
    ("adapter-not-training", "contradicted", 0.9),
    ("clipping-absent", "contradicted", 0.9),
    ("schedule-exhausted", "contradicted", 0.9),
    ("outlier-batch", "contradicted", 0.9),
    ("eval-stale", "contradicted", 0.9),
    ("label-mask", "contradicted", 0.85),
    ("warmup-end", "contradicted", 0.85),
    ("overfit", "contradicted", 0.85),
    ("slowed-by-spike", "contradicted", 0.85),
    ("split-shift", "contradicted", 0.8),
    ("resume-reset", "contradicted", 0.6),
    ("log-artefact", "contradicted", 0.6),
    ("weights-not-loaded", "untestable", 0.0),
    ("unigram-floor", "untestable", 0.0),
    ("fp16-overflow", "untestable", 0.0),
    ("gradient-explosion", "untestable", 0.0),
    ("data-quality", "untestable", 0.0),
    ("duplicate-text", "untestable", 0.0),
    ("adam-instability", "untestable", 0.0),
    ("small-batch-noise", "untestable", 0.0),
    ("repetition", "untestable", 0.0),
    ("leak", "untestable", 0.0),
    ("data-order", "untestable", 0.0),
    ("memory-pressure", "untestable", 0.0),
    ("capacity", "untestable", 0.0),
)


def test_every_verdict_in_its_order() -> None:
    causes = judge(recorded_case())

    assert tuple((c.id, c.verdict.value, c.confidence) for c in causes) == VERDICTS


@pytest.mark.parametrize(
    ("rule_id", "part"),
    [
        ("untrained-base", "9.2270 at step 0: a blind guess among about 10,170 tokens"),
        ("untrained-base", "excludes a working GPT-2 on English, 3 to 4 nats"),
        ("untrained-base", "also excludes a blind guess over GPT-2's 50,257 tokens, 10.82 nats"),
        ("gradient-explosion", "Missing: gradient norms; log the global gradient norm"),
        ("overfit", "Validation lies above training by 0.0323 to 0.1747 nats"),
        ("overfit", "from 0.1747 at step 500 to 0.0681 at step 2,500"),
        ("outlier-batch", "+2.93 nats to 9.5846 and validation rose by +2.87 nats to 9.6169"),
        ("weights-or-eval-state", "both above the starting loss 9.2270"),
        ("lr-too-high", "1.50e-5, 75 % of its peak, and had been falling for 1,500 steps"),
        ("lr-too-high", "A weak suspect"),
        ("warmup-end", "ends at step 500; the onset lies in (1,500, 2,000], outside 20 %"),
        ("schedule-exhausted", "97 % to 59 % of its peak there (75 % at step 2,000)"),
        ("lr-too-low", "2.00e-5, the usual ones for what is trained are 1.00e-4 to 1.00e-3"),
        ("wrong-trainables", "fell by 2.27 nats up to step 500"),
        ("wrong-trainables", "no weight moved by more than 5.49e-3, the sum of the rates"),
        ("throughput", "1.61 s instead of 0.952 (1.05 to 0.62 steps/s, -41 %)"),
        ("throughput", "untestable without counters"),
        ("slowed-by-spike", "finite number does not set a step's cost"),
        ("unigram-floor", "give the training text with --data"),
        ("small-batch-noise", "One log has one batch size, 8 blocks or 2,048 tokens a step"),
    ],
)
def test_what_the_evidence_says(rule_id: str, part: str) -> None:
    assert part in told(answer(recorded_case(), rule_id))


def test_what_the_detectors_find_gives_the_same_verdicts() -> None:
    by_hand = recorded_case()
    detected = replace(by_hand, findings=detect(by_hand.curve, warmup_steps=500))

    causes = judge(detected)

    assert tuple((c.id, c.verdict.value, c.confidence) for c in causes) == VERDICTS


@pytest.mark.parametrize(
    ("claim", "rule_id", "verdict", "part"),
    [
        ("gradients exploded", "gradient-explosion", "untestable", "gradient norms"),
        ("nothing clipped the gradients", "clipping-absent", "contradicted", "norm of 1"),
        ("warmup and decay met", "warmup-end", "contradicted", "ends at step 500"),
        ("the decay began 500 steps before", "lr-too-high", "supported", "for 1,500 steps"),
        ("the rate was 1.55e-5", "lr-too-high", "supported", "1.50e-5"),
        ("a bad batch did it", "outlier-batch", "contradicted", "not in the validation set"),
        ("training is worse, it overfits", "overfit", "contradicted", "lies above training"),
        ("a head sees two examples", "small-batch-noise", "untestable", "batch size, 8 blocks"),
        ("the spike slowed it", "slowed-by-spike", "contradicted", "finite number"),
        ("memory thrashed", "memory-pressure", "untestable", "nothing in the log tells memory"),
        ("the schedule is too gentle", "schedule-exhausted", "contradicted", "97 % to 59 %"),
        ("the data repeat there", "data-quality", "untestable", "--data"),
        ("it fits token frequencies only", "unigram-floor", "untestable", "--data"),
        ("the rate is too low", "lr-too-low", "supported", "5 times below"),
    ],
)
def test_what_a_reader_of_the_log_alone_might_claim(
    claim: str, rule_id: str, verdict: str, part: str
) -> None:
    cause = answer(recorded_case(), rule_id)

    assert cause.verdict.value == verdict, claim
    assert part in told(cause), claim


def test_the_bound_on_adam_is_the_sum_of_the_warmup() -> None:
    """500 steps that rise linearly from 0.1 to just below 1 times 2e-5."""
    bound = sum(2e-5 * (0.1 + 0.9 * step / 500) for step in range(500))

    numbers = answer(recorded_case(), "wrong-trainables").decision.numbers

    assert numbers["sum_of_rates"] == pytest.approx(bound)
    assert numbers["step"] == 500


def test_heads_share_features_and_not_examples() -> None:
    case = recorded_case(RECORDED_CONFIG | {"num_heads": 12})

    assert "each sees all 8 blocks" in told(answer(case, "small-batch-noise"))


def all_advice(config: dict[str, object] | None = None) -> dict[str, Advice]:
    case = recorded_case(config)
    return {
        advice.id: advice
        for cause in judge(case)
        if cause.verdict is Verdict.SUPPORTED
        for advice in cause.rule.advise(case, cause.decision)
    }


@pytest.mark.parametrize(
    ("advice_id", "change"),
    [
        ("train-embeddings", {"train_also": "embeddings+norms"}),
        ("raise-rate", {"learning_rate": 2e-4, "schedule": "constant"}),
        ("lower-rate", {"learning_rate": 6e-6}),
        ("bigger-batch", {"accumulation": 4}),
        ("smaller-block", {"block_size": 128}),
        ("check-base", {}),
        ("evaluate-twice", {}),
        ("log-gradient-norms", {}),
        ("list-trainables", {}),
    ],
)
def test_what_to_try(advice_id: str, change: dict[str, object]) -> None:
    assert all_advice()[advice_id].change == change


def test_the_base_is_checked_before_any_hyperparameter() -> None:
    advice = all_advice()

    assert advice["check-base"].urgency == 1
    assert min(each.urgency for each in advice.values() if each.change) == 2


def test_a_smaller_block_is_no_promise_of_four_times_the_speed() -> None:
    reason = all_advice()["smaller-block"].reason

    assert "(2,048 to 1,024)" in reason
    assert "5 % of a layer's arithmetic at width 768" in reason


def test_parts_that_are_trained_already_are_not_advised() -> None:
    assert "train-embeddings" not in all_advice(
        dict(RECORDED_CONFIG) | {"train_also": "embeddings"}
    )


def test_without_a_configuration_nothing_is_made_up() -> None:
    causes = {cause.id: cause for cause in judge(recorded_case({}))}

    for rule_id in ("warmup-end", "lr-too-high", "lr-too-low", "schedule-exhausted"):
        assert causes[rule_id].verdict is Verdict.UNTESTABLE
    assert "--config" in told(causes["wrong-trainables"])
    assert causes["untrained-base"].verdict is Verdict.SUPPORTED


@pytest.mark.parametrize(
    ("vocab_size", "verdict"),
    [(10173, Verdict.SUPPORTED), (50257, Verdict.CONTRADICTED), (1024, Verdict.CONTRADICTED)],
)
def test_a_known_vocabulary_decides(vocab_size: int, verdict: Verdict) -> None:
    case = recorded_case(RECORDED_CONFIG | {"vocab_size": vocab_size})

    cause = answer(case, "untrained-base")

    assert cause.verdict is verdict
    assert cause.decision.numbers["uniform"] == pytest.approx(math.log(vocab_size))


def test_a_floor_under_the_rate_changes_its_value_at_the_spike() -> None:
    case = recorded_case(RECORDED_CONFIG | {"floor_factor": 0.1})

    assert "1.55e-5" in told(answer(case, "lr-too-high"))
    assert case.config == RunConfig(RECORDED_CONFIG | {"floor_factor": 0.1})

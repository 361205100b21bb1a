"""The whole diagnosis: the recorded run word by word, and that any case can be diagnosed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.curves import Curve, FindingKind, Point
from sweeper.curves.detection import detect
from sweeper.diagnosis.case import Case
from sweeper.diagnosis.cause import Verdict
from sweeper.diagnosis.diagnose import diagnose
from sweeper.diagnosis.diagnosis import Diagnosis
from sweeper.logs import Log
from tests.diagnosis.fakes import (
    RECORDED_CONFIG,
    case_of,
    cause,
    config_of,
    finding,
    points,
    recorded_case,
)

GOLDEN = Path(__file__).parent / "golden" / "recorded.txt"


def sentences_of(diagnosis: Diagnosis) -> Iterator[str]:
    """Every section of a diagnosis in plain lines."""
    yield from ("summary", *diagnosis.summary, "", "timeline")
    for row in diagnosis.timeline:
        change = "" if row.change is None else f"{row.change:+.4f}"
        rate = "" if row.learning_rate is None else f"{row.learning_rate:.3e}"
        yield f"{row.step} {row.train_loss} {row.val_loss} {change} {rate} {row.status}"
    for spike in diagnosis.spikes:
        yield from ("", f"spike ({spike.previous_step}, {spike.start_step}]", *spike.sentences)
    for event in diagnosis.settings:
        yield from ("", f"settings at step {event.step}: {event.what}")
        yield from (f"{name}: {value}" for name, value in event.values.items())
        yield from event.remarks
    yield from ("", "speed")
    for part in diagnosis.speed:
        change = "" if part.change is None else f"{part.change:+.2f}"
        yield f"({part.start_step}, {part.end_step}] {1 / part.step_seconds:.2f} steps/s {change}"
    yield from ("", "gap", *diagnosis.gap_reading, "", "stuck", *diagnosis.stuck)
    yield from ("", "recommendations")
    for item in diagnosis.recommendations:
        yield f"{item.priority}. {item.advice.title}. {item.advice.reason}"
    test = diagnosis.test
    yield from ("", "test")
    if test is not None:
        yield from (test.command, test.expected, test.basis, test.refuted_by, test.remark)
    yield from ("", f"last good step: {diagnosis.last_good_step}", diagnosis.last_good_reason)
    for kept in diagnosis.checkpoints:
        yield f"{kept.step}: {'keep' if kept.keep else 'ignore'}: {kept.reason}"


def test_the_recorded_run_word_by_word() -> None:
    """Without the rules' own words, which have tests of their own."""
    text = "\n".join(sentences_of(diagnose(recorded_case(), ()))) + "\n"

    assert text == GOLDEN.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def recorded() -> Diagnosis:
    """The recorded run with the rules' answers."""
    return diagnose(recorded_case())


def everything(diagnosis: Diagnosis) -> str:
    """All that is said, causes included."""
    causes = [
        f"{item.id} {item.verdict.value}: {' '.join(item.decision.evidence)}"
        for item in diagnosis.causes
    ]
    changes = [str(item.advice.change) for item in diagnosis.recommendations]
    return "\n".join([*sentences_of(diagnosis), *causes, *changes])


@pytest.mark.parametrize(
    "fact",
    [
        pytest.param("1,500 steps into the decay", id="not 500 steps"),
        pytest.param("1.50e-5 (1.55e-5 if the schedule ends at a 10 % floor)", id="the rate"),
        pytest.param("+2.93 nats, +44.1 % of the loss before, perplexity \u00d7 18.8", id="size"),
        pytest.param("+42.6 % of the loss before", id="size in validation"),
        pytest.param("Recovery: full, training 6.6424 at step 2,500 against 6.6511", id="full"),
        pytest.param("each sees all 8 blocks", id="heads share features, not the batch"),
        pytest.param("Training loss is below validation loss in all 6 rows", id="the sign"),
        pytest.param("The gap shrinks, from 0.1747 at step 500 to 0.0681", id="the gap's trend"),
        pytest.param("No overfitting", id="no overfitting"),
        pytest.param("overfit contradicted", id="nor as a cause"),
        pytest.param("mostly cuts the tokens of a step in proportion (2,048 to 1,024)", id="4x"),
        pytest.param("5 % of a layer's arithmetic at width 768", id="the share of scores"),
        pytest.param("slowed-by-spike contradicted", id="a loss sets no step's cost"),
        pytest.param("above the starting loss", id="above the start"),
        pytest.param("outlier-batch contradicted", id="not one odd batch"),
        pytest.param("weights-or-eval-state supported", id="weights or evaluation"),
        pytest.param("duration is unresolved: somewhere in (1,500, 2,500)", id="one point"),
        pytest.param("had been falling for 1,500 steps", id="the rate is a suspect at most"),
        pytest.param("Tentative: the plateau from step 1,000 on rests on 3", id="tentative"),
        pytest.param("(validation 6.7096, 6.7427 and 6.7105)", id="on these points"),
        pytest.param("excludes a working GPT-2 on English, 3 to 4 nats", id="no working GPT-2"),
        pytest.param("a blind guess among about 10,170 tokens", id="the implied vocabulary"),
        pytest.param("untrained-base supported", id="untrained"),
        pytest.param("wrong-trainables supported", id="faster than an adapter alone"),
        pytest.param("gradient-explosion untestable", id="no gradient norms"),
        pytest.param("clipping-absent contradicted", id="clipping was on"),
        pytest.param("2000: ignore", id="2000 is damaged"),
        pytest.param("2500: keep: as good by validation: 6.7105 against 6.7096", id="2500 is not"),
        pytest.param("last good step: 1500", id="by time"),
        pytest.param("step 1,000 is the best before it", id="by validation"),
    ],
)
def test_the_recorded_run_is_read_as_its_numbers_say(recorded: Diagnosis, fact: str) -> None:
    assert fact in everything(recorded)


@pytest.mark.parametrize(
    "mistake",
    [
        pytest.param("artial recovery", id="it came back"),
        pytest.param("recovery: partial", id="in full"),
        pytest.param("corrupt", id="2500 is as good as 1000"),
        pytest.param("mixed precision", id="rounds, and does not calm gradients"),
        pytest.param("bf16", id="nor does bf16"),
        pytest.param("4x", id="attention is not a quarter"),
        pytest.param("overfit supported", id="train is below validation"),
        pytest.param("gradient-explosion supported", id="without gradient norms"),
        pytest.param("slowed-by-spike supported", id="a loss sets no step's cost"),
    ],
)
def test_mistakes_that_are_not_made(recorded: Diagnosis, mistake: str) -> None:
    assert mistake not in everything(recorded).lower()


def test_the_base_is_checked_before_any_change(recorded: Diagnosis) -> None:
    first, *others = recorded.recommendations

    assert first.advice.id == "check-base"
    assert {"untrained-base", "tokenizer-mismatch"} <= set(first.causes)
    assert any(item.advice.change for item in others)


def test_supported_causes_come_first_by_confidence(recorded: Diagnosis) -> None:
    order = [Verdict.SUPPORTED, Verdict.CONTRADICTED, Verdict.UNTESTABLE]
    keys = [(order.index(item.verdict), -item.confidence) for item in recorded.causes]

    assert keys == sorted(keys)


def test_causes_that_are_handed_in_are_not_asked_for_again() -> None:
    causes = (cause("mine", confidence=0.2), cause("better", confidence=0.9))

    diagnosis = diagnose(recorded_case(), causes)

    assert [item.id for item in diagnosis.causes] == ["better", "mine"]


def test_a_healthy_run_has_no_test_and_no_step_to_go_back_to() -> None:
    losses = [3 + 3 * math.exp(-step / 40) for step in range(200)]
    case = case_of(points(losses, losses))

    diagnosis = diagnose(case)

    assert detect(case.curve) == ()
    assert diagnosis.test is None
    assert diagnosis.last_good_step is None
    assert diagnosis.spikes == diagnosis.settings == diagnosis.stuck == diagnosis.checkpoints == ()
    assert "the curve is healthy" in " ".join(diagnosis.summary)


numbers = st.floats(0.0, 30.0) | st.sampled_from(
    [math.nan, math.inf, -math.inf, 3e38]  # the last is about the largest float32
)
rows = st.builds(
    Point,
    step=st.integers(0, 400),
    tokens=st.just(0),
    train_loss=st.none() | numbers,
    val_loss=st.none() | numbers,
    learning_rate=st.none() | st.floats(0, 1),
    grad_norm=st.none() | numbers,
    step_seconds=st.none() | st.floats(0, 10),
)
settings_known = st.fixed_dictionaries(
    {},
    optional={
        name: st.just(value) | st.sampled_from([None, 0, -1, "odd", 1e9, True])
        for name, value in RECORDED_CONFIG.items()
    },
)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.lists(rows, max_size=40), settings_known, st.booleans())
def test_any_log_can_be_diagnosed(
    made: list[Point], config: dict[str, object], is_trial: bool
) -> None:
    curve = Curve(
        tuple({point.step: point for point in sorted(made, key=lambda p: p.step)}.values())
    )
    case = Case(
        Log("run.log", "CSV", curve),
        detect(curve),
        config_of(config),
        is_trial=is_trial,
        checkpoint_steps=[(100, "a.pt"), (300, "b.pt")],
    )

    diagnosis = diagnose(case)

    assert 1 <= len(diagnosis.summary) <= 7
    assert len(diagnosis.timeline) <= 31
    assert len(diagnosis.checkpoints) == 2
    assert (
        diagnosis.test is None
        or diagnosis.test.low is None
        or (diagnosis.test.high is not None and diagnosis.test.low <= diagnosis.test.high)
    )
    assert all(text == text.strip() and text for text in diagnosis.summary)


@settings(deadline=None, derandomize=True, max_examples=60)
@given(
    st.lists(st.none() | numbers, min_size=1, max_size=30),
    st.lists(
        st.builds(
            finding,
            st.sampled_from(FindingKind),
            st.integers(0, 35),
            st.integers(0, 35),
            recovered=st.none() | st.booleans(),
        ),
        max_size=6,
    ),
)
def test_any_findings_can_be_explained(losses: list[float | None], found: list[object]) -> None:
    diagnosis = diagnose(case_of(points(losses, losses[::-1]), found), ())  # type: ignore[arg-type]

    assert diagnosis.summary
    assert len(list(sentences_of(diagnosis))) > 5

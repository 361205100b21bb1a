from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from sweeper.curves import FindingKind
from sweeper.diagnosis.case import CorpusFacts, Passage
from sweeper.diagnosis.diagnosis import EventSettings
from sweeper.diagnosis.settings import MOST_EVENTS, settings_at_events
from tests.diagnosis.fakes import (
    RECORDED_CONFIG,
    case_of,
    finding,
    points,
    recorded_case,
    spike,
)


def at_spike(config: Mapping[str, object]) -> EventSettings:
    """The settings at step 2000 of the recorded run."""
    return next(event for event in settings_at_events(recorded_case(config)) if event.step == 2000)


def corpus(*passages: Passage, order_is_known: bool = False) -> CorpusFacts:
    """A corpus of which some passages were read at step 2000."""
    return CorpusFacts(
        "qa.md", 10, 5000, "tokens of words", False, 300, 5.0, 3.0, (), (), (), (),
        {2000: passages}, order_is_known,
    )  # fmt: skip


def test_the_recorded_rate_at_the_spike_with_and_without_a_floor() -> None:
    event = at_spike(RECORDED_CONFIG)

    assert event.what == "spike, drop in speed"
    assert event.values["learning rate"] == (
        "1.50e-5 (1.55e-5 if the schedule ends at a 10 % floor)"
    )
    assert "1,500 steps into the decay, a third of it" in event.remarks
    assert "1.50e-5 = 2.00e-5 \u00d7 (1 + cos(pi \u00d7 1,500 / 4,500)) / 2" in event.remarks
    assert "4,096,000 tokens seen" in event.remarks


def test_values_carry_their_origin() -> None:
    values = at_spike(RECORDED_CONFIG).values

    assert values["block size"] == "256 (run.yaml)"
    assert values["accumulation"] == "1 (nobody mentioned it)"
    assert values["effective batch"] == "8 blocks"
    assert values["tokens per step"] == "2,048"
    assert values["schedule"] == (
        "cosine (run.yaml), peak 2.00e-5, warmup of 500 steps, 5,000 steps in all"
    )


def test_a_known_floor_has_no_alternative() -> None:
    event = at_spike({**RECORDED_CONFIG, "floor_factor": 0.1})

    assert event.values["learning rate"] == "1.55e-5"
    assert not any("cos" in remark for remark in event.remarks)


def test_a_constant_schedule_has_neither_decay_nor_alternative() -> None:
    event = at_spike({"learning_rate": 1e-4, "schedule": "constant"})

    assert event.values["learning rate"] == "1.00e-4"
    assert not any("decay" in remark for remark in event.remarks)


def test_in_the_warmup_the_remark_says_so() -> None:
    event = at_spike({**RECORDED_CONFIG, "warmup": 4000})

    assert "in the warmup: step 2,000 of 4,000" in event.remarks


@pytest.mark.parametrize(
    ("known", "missing"),
    [
        ({}, "unknown: learning_rate and schedule are not known"),
        ({"learning_rate": 1e-4}, "unknown: schedule is not known"),
        ({"learning_rate": 1e-4, "schedule": "cosine"}, "unknown: total_steps is not known"),
        (
            {"learning_rate": -1.0, "schedule": "cosine", "total_steps": 100},
            "unknown: the schedule as given does not fit together",
        ),
    ],
)
def test_an_unknown_rate_says_what_is_missing(known: Mapping[str, object], missing: str) -> None:
    assert at_spike(known).values["learning rate"] == missing


def test_a_logged_rate_is_shown_and_held_against_the_schedule() -> None:
    rows = points([3.0] * 4, every=1000, learning_rate=[2e-5, 2e-5, 1e-5, 1e-5])
    case = case_of(rows, [spike(2000)], RECORDED_CONFIG)

    (event,) = settings_at_events(case)

    assert event.values["learning rate"] == "1.00e-5 (log)"
    assert "the log says 1.00e-5, the schedule as given 1.50e-5" in event.remarks


def test_logged_tokens_go_before_the_configuration() -> None:
    rows = [replace(point, tokens=point.step * 999) for point in points([3.0] * 3, every=1000)]
    case = case_of(rows, [spike(2000)], RECORDED_CONFIG)

    assert "1,998,000 tokens seen" in settings_at_events(case)[0].remarks


def test_documents_read_are_named_with_what_is_odd_about_them() -> None:
    facts = corpus(
        Passage("faq.md:12", 0, 300, remarks=("repeated 14 times",)), Passage("end.md:1", 300, 20)
    )
    case = recorded_case(corpus=facts)
    event = next(event for event in settings_at_events(case) if event.step == 2000)

    assert "read here if it was read in order: faq.md:12: repeated 14 times" in event.remarks
    assert "read here if it was read in order: end.md:1" in event.remarks


def test_many_documents_are_counted_and_a_known_order_needs_no_if() -> None:
    facts = corpus(*[Passage(f"{n}.md", 0, 9) for n in range(8)], order_is_known=True)
    case = recorded_case(corpus=facts)
    event = next(event for event in settings_at_events(case) if event.step == 2000)

    assert "read here: 0.md" in event.remarks
    assert "and 3 more documents" in event.remarks


def test_the_largest_of_many_events_are_shown_in_order() -> None:
    many = [spike(n, severity=float(n)) for n in range(1, 40)]
    case = case_of(points([3.0] * 50), many)

    steps = [event.step for event in settings_at_events(case)]

    assert steps == list(range(40 - MOST_EVENTS, 40))


def test_no_event_no_settings() -> None:
    assert settings_at_events(case_of(points([3.0, 2.0]))) == ()


def test_a_plateau_is_an_event_as_well() -> None:
    case = case_of(points([3.0] * 9), [finding(FindingKind.PLATEAU, 2, 8)])

    assert [(event.step, event.what) for event in settings_at_events(case)] == [(2, "plateau")]


def test_a_rate_logged_as_used_by_the_step_before_agrees_with_the_schedule() -> None:
    """After 20 of 100 steps: the last used 8.1e-3 of 1e-2, the next uses 8.0e-3."""
    known = {"learning_rate": 1e-2, "schedule": "linear", "total_steps": 100}
    for logged, agrees in ((8.1e-3, True), (8.0e-3, True), (7.0e-3, False)):
        rows = points([3.0] * 4, every=10, learning_rate=[1e-2, 9e-3, logged, logged])
        (event,) = settings_at_events(case_of(rows, [spike(20)], known))

        assert any("the log says" in remark for remark in event.remarks) is not agrees

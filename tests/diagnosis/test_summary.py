from __future__ import annotations

import math

import pytest

from sweeper.curves import Finding, FindingKind
from sweeper.diagnosis.cause import Verdict
from sweeper.diagnosis.diagnosis import Recommendation
from sweeper.diagnosis.summary import summarise
from tests.diagnosis.fakes import advice, case_of, cause, finding, points, recorded_case, spike

FIRST = (Recommendation(1, advice("look", {}), ("a",), 0.6),)


def test_the_recorded_run_in_six_sentences() -> None:
    causes = (cause("weak", confidence=0.3), cause("strong", confidence=0.7))

    assert summarise(recorded_case(), causes, FIRST) == (
        "The training loss went from 9.2270 at step 0 to 6.6424 at step 2,500; the lowest was "
        "6.5811 at step 1,000.",
        "It has been flat since step 1,000 (tentative: few points).",
        "It jumped by 2.93 nats at step 2,000, above the starting loss, and came back.",
        "From step 2,000 on a step took 1.61 s instead of 0.952 (-41 % speed).",
        "Most likely: Title of strong (70 % sure).",
        "First thing to do: Do look.",
    )


def test_a_healthy_run_is_called_so_with_its_numbers() -> None:
    sentences = summarise(case_of(points([5.0, 4.0, 3.5, 3.2, 3.0])), (), ())

    assert sentences == (
        "The training loss went from 5.0000 at step 0 to 3.0000 at step 4.",
        "No spike, divergence, plateau, overfitting or loss of speed was found: the curve is "
        "healthy.",
    )


def test_few_points_are_not_called_healthy() -> None:
    sentences = summarise(case_of(points([5.0, 4.0, 3.0])), (), ())

    assert sentences[1:] == ("Nothing stands out, but 3 points are little to go by.",)


def test_a_suspicion_on_a_healthy_run_is_named_if_it_is_a_likely_one() -> None:
    case = case_of(points([5.0, 4.0, 3.0]))

    likely = summarise(case, (cause("untrained-base", confidence=0.6),), FIRST)
    unlikely = summarise(case, (cause("untrained-base", confidence=0.3),), FIRST)

    assert likely[-2:] == (
        "One suspicion remains: Title of untrained-base (60 % sure).",
        "First thing to do: Do look.",
    )
    assert len(unlikely) == 2


def test_without_a_supported_cause_none_is_named() -> None:
    causes = (cause("a", verdict=Verdict.CONTRADICTED, confidence=0.9),)

    sentences = summarise(recorded_case(), causes, ())

    assert sentences[-1] == "No cause is supported by what was given."


@pytest.mark.parametrize(
    ("losses", "found", "sentence"),
    [
        (
            [5.0, 3.0, 9.0, 9.0],
            spike(2, 3, recovered=False),
            "It jumped by 6.00 nats at step 2, above the starting loss, and did not come back.",
        ),
        ([5.0, 3.0, 4.0, 3.0], spike(2), "It jumped by 1.00 nats at step 2 and came back."),
        (
            [5.0, 3.0, 9.0, 9.0],
            finding(FindingKind.DIVERGENCE, 2, 3, recovered=False),
            "Divergence at steps 2 to 3: divergence seen.",
        ),
        (
            [5.0, 3.0, 3.0, 3.0],
            finding(FindingKind.THROUGHPUT_DROP, 2, 3),
            "Drop in speed at steps 2 to 3: throughput_drop seen.",
        ),
    ],
)
def test_an_event_in_a_sentence(losses: list[float], found: Finding, sentence: str) -> None:
    assert sentence in summarise(case_of(points(losses), [found]), (), ())


def test_a_divergence_and_the_spike_that_it_began_with_are_one_event() -> None:
    lasting = finding(FindingKind.DIVERGENCE, 2, 4, recovered=False)
    case = case_of(points([5.0, 3.0, 9.0, 9.0, 9.0]), [spike(2, 4, recovered=False), lasting])

    assert not any("jumped" in sentence for sentence in summarise(case, (), ()))


def test_many_events_are_counted() -> None:
    losses = [5.0, *[3.0, 4.0] * 10]
    many = [spike(2 * n, severity=float(n)) for n in range(1, 11)]

    sentences = summarise(case_of(points(losses), many), (cause(),), FIRST)

    assert "8 more findings are listed below." in sentences
    assert len(sentences) == 6


@pytest.mark.parametrize("losses", [[], [3.0], [math.nan, math.nan]])
def test_a_log_with_too_few_numbers_says_so(losses: list[float]) -> None:
    (only,) = summarise(case_of(points(losses)), (), ())

    assert "too few to judge" in only

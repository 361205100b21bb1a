from __future__ import annotations

from sweeper.curves import FindingKind
from sweeper.diagnosis.cause import Verdict
from sweeper.diagnosis.recommendations import recommend
from tests.diagnosis.fakes import advice, case_of, cause, finding, points, recorded_case, spike


def ids(*made: object) -> list[str]:
    return [recommendation.advice.id for recommendation in made]  # type: ignore[attr-defined]


def test_the_most_urgent_advice_comes_first_then_the_best_supported() -> None:
    causes = (
        cause("a", advice("later", urgency=4), confidence=0.9),
        cause("b", advice("soon-weak", urgency=2), confidence=0.3),
        cause("c", advice("soon-strong", urgency=2), confidence=0.7),
    )

    made = recommend(case_of(points([3.0, 2.0])), causes)

    assert ids(*made) == ["soon-strong", "soon-weak", "later"]
    assert [recommendation.priority for recommendation in made] == [1, 2, 3]


def test_the_same_advice_of_several_causes_is_one() -> None:
    causes = (
        cause("weak", advice("same", {}, urgency=1, reason="Weak."), confidence=0.2),
        cause("strong", advice("same", {}, urgency=3, reason="Strong."), confidence=0.8),
    )

    (made,) = recommend(case_of(points([3.0, 2.0])), causes)

    assert made.causes == ("strong", "weak")
    assert made.confidence == 0.8
    assert (made.advice.reason, made.advice.urgency) == ("Strong.", 1)
    assert made.advice.refuted_by == "same changes nothing."


def test_only_supported_causes_advise() -> None:
    causes = (
        cause("a", advice("a"), verdict=Verdict.CONTRADICTED),
        cause("b", advice("b"), verdict=Verdict.UNTESTABLE),
    )

    assert recommend(case_of(points([3.0, 2.0])), causes) == ()


def test_what_the_recorded_run_left_open_should_be_logged_next_time() -> None:
    made = recommend(recorded_case(), ())

    assert ids(*made) == ["measure-evaluation-noise", "log-gradient-norms", "log-more-often"]
    assert all(recommendation.causes == () for recommendation in made)
    text = " ".join(recommendation.advice.reason for recommendation in made)
    assert "rests on 3 evaluations" in text
    assert "500 unseen steps before it" in text


def test_advice_of_a_cause_is_not_given_twice() -> None:
    causes = (cause("a", advice("log-gradient-norms", {}, urgency=2)),)

    made = recommend(recorded_case(), causes)

    assert ids(*made).count("log-gradient-norms") == 1
    assert made[0].causes == ("a",)


def test_what_was_logged_need_not_be_asked_for() -> None:
    rows = points([5.0, 4.0, 3.0, 9.0, 3.0], [5.0, 4.0, 3.0, 9.0, 3.0], grad_norm=[1.0] * 5)

    assert recommend(case_of(rows, [spike(3)]), ()) == ()


def test_without_validation_some_should_be_held_out() -> None:
    flat = finding(FindingKind.PLATEAU, 1, 4)

    made = recommend(case_of(points([3.0] * 5), [flat]), ())

    assert ids(*made) == ["evaluate-on-held-out-text"]


def test_a_healthy_run_needs_no_advice() -> None:
    assert recommend(case_of(points([5.0, 4.0, 3.0])), ()) == ()

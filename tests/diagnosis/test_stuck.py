from __future__ import annotations

from sweeper.curves import FindingKind
from sweeper.diagnosis.cause import Verdict
from sweeper.diagnosis.stuck import explain_stall, is_tentative, plateau_points
from tests.diagnosis.fakes import case_of, cause, finding, points, recorded_case, spike


def test_the_recorded_plateau_is_tentative_and_says_on_which_points_it_rests() -> None:
    first, *_ = explain_stall(recorded_case(), ())

    assert first.startswith("Tentative: the plateau from step 1,000 on rests on 3 usable points")
    assert "(validation 6.7096, 6.7427 and 6.7105)" in first
    assert "how noisy an evaluation is, is not known" in first


def test_the_spike_is_no_point_of_the_plateau() -> None:
    case = recorded_case()
    (flat,) = case.of_kind(FindingKind.PLATEAU)

    name, rest = plateau_points(case, flat)

    assert (name, rest.steps.tolist()) == ("val_loss", [1000, 1500, 2500])
    assert is_tentative(case, flat)


def test_causes_that_explain_a_stall_come_in_order_of_confidence() -> None:
    causes = (
        cause("weak", confidence=0.2, explains_stall=True),
        cause("strong", confidence=0.8, explains_stall=True),
        cause("elsewhere", confidence=0.9),
        cause("refuted", verdict=Verdict.CONTRADICTED, explains_stall=True),
        cause("open", verdict=Verdict.UNTESTABLE, explains_stall=True),
    )

    _, *reasons = explain_stall(recorded_case(), causes)

    assert reasons == [
        "Title of strong (80 % sure). Evidence of strong.",
        "Title of weak (20 % sure). Evidence of weak.",
        "Untestable here: open.",
    ]


def test_without_a_supported_cause_it_says_so() -> None:
    assert "No cause of it is supported by what was given." in explain_stall(recorded_case(), ())


def test_a_long_plateau_is_not_tentative() -> None:
    losses = [5.0, 4.0, *[3.0 + 0.001 * (i % 2) for i in range(20)]]
    flat = finding(FindingKind.PLATEAU, 2, 21, noise_nats=0.0005)
    case = case_of(points(losses), [flat])

    first, *_ = explain_stall(case, ())

    assert "The training loss is flat from step 2 to 21" in first
    assert "over 20 points, noise 0.0005." in first
    assert not is_tentative(case, flat)


def test_weights_that_do_not_update_are_a_stall_too() -> None:
    frozen = finding(FindingKind.WEIGHTS_NOT_UPDATING, 0, 9)

    first, *_ = explain_stall(case_of(points([3.0] * 10), [frozen]), ())

    assert first == ("Weights that do not update at steps 0 to 9: weights_not_updating seen.")


def test_a_run_that_is_not_stuck_needs_no_explanation() -> None:
    case = case_of(points([5.0, 4.0, 9.0, 3.0]), [spike(2)])

    assert explain_stall(case, (cause(explains_stall=True),)) == ()

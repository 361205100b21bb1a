from __future__ import annotations

import math

import numpy as np
import pytest

from sweeper.curves import FindingKind
from sweeper.diagnosis.diagnosis import SpikeAnalysis
from sweeper.diagnosis.spikes import analyse_spikes
from tests.diagnosis.fakes import case_of, finding, points, recorded_case, spike

CALM = [5.0, 4.0, 3.5, 3.3, 3.2]


def only(analyses: tuple[SpikeAnalysis, ...]) -> SpikeAnalysis:
    (analysis,) = analyses
    return analysis


def said(analysis: SpikeAnalysis) -> str:
    return " ".join(analysis.sentences)


def test_the_recorded_spike_in_numbers() -> None:
    analysis = only(analyse_spikes(recorded_case()))

    assert (analysis.previous_step, analysis.start_step) == (1500, 2000)
    assert (analysis.peak_step, analysis.end_step) == (2000, 2000)
    text = said(analysis)
    assert "training loss 6.6511 at step 1,500, 9.5846 at step 2,000" in text
    assert "Training: +2.93 nats, +44.1 % of the loss before, perplexity \u00d7 18.8" in text
    assert "Validation: +2.87 nats, +42.6 % of the loss before, perplexity \u00d7 17.7" in text
    assert "4 points before it, too few to tell the noise" in text


def test_above_the_start_in_both_losses_excludes_an_odd_batch() -> None:
    text = said(only(analyse_spikes(recorded_case())))

    assert "above the starting loss (9.5846 against 9.2270 at the start)" in text
    assert "in training and validation alike" in text
    assert "One odd training batch cannot do that" in text


def test_one_point_leaves_onset_and_duration_open() -> None:
    text = said(only(analyse_spikes(recorded_case())))

    assert "somewhere in (1,500, 2,000]" in text
    assert "duration is unresolved: somewhere in (1,500, 2,500), so less than 1,000 steps" in text


def test_the_recorded_recovery_was_full() -> None:
    text = said(only(analyse_spikes(recorded_case())))

    assert "Recovery: full, training 6.6424 at step 2,500 against 6.6511 before" in text
    assert "validation 6.7105 at step 2,500 against 6.7427 before" in text


def test_a_rest_that_stays_is_a_partial_recovery() -> None:
    case = case_of(points([*CALM, 6.0, 3.8, 3.8]), [spike(5)])

    assert "Recovery: partial, training 3.8000 at step 6 against 3.2000" in said(
        only(analyse_spikes(case))
    )


@pytest.mark.parametrize(("rest_sigmas", "word"), [(1.4, "full"), (6.0, "partial")])
def test_a_rest_within_the_noise_is_none(rest_sigmas: float, word: str) -> None:
    rng = np.random.default_rng(1)
    before = (3.0 + 0.1 * rng.standard_normal(40)).tolist()
    after = min(before[-1], float(np.median(before[-5:]))) + 0.1 * rest_sigmas
    case = case_of(points([*before, 5.0, after, after, after]), [spike(40)])

    text = said(only(analyse_spikes(case)))

    assert f"Recovery: {word}" in text
    assert "times the noise of 0." in text


def test_a_loss_that_stays_up_did_not_come_back() -> None:
    case = case_of(points([*CALM, 9.0, 8.5]), [spike(5, 6, recovered=False)])

    text = said(only(analyse_spikes(case)))

    assert "did not come back" in text
    assert "Recovery" not in text
    assert "lasted" not in text


def test_below_the_start_something_was_kept() -> None:
    case = case_of(points([*CALM, 4.5, 3.2]), [spike(5)])

    text = said(only(analyse_spikes(case)))

    assert "stays below the starting loss (4.5000 against 5.0000 at the start)" in text


def test_a_log_that_begins_late_does_not_know_the_start() -> None:
    case = case_of(points([*CALM, 9.0, 3.2], start=8000), [spike(8005)])

    text = said(only(analyse_spikes(case)))

    assert "The log begins at step 8,000, so the starting loss is not known" in text
    assert "above the starting loss" not in text


@pytest.mark.parametrize(
    ("val", "sentence"),
    [
        (None, "Only training loss can tell: validation loss was not logged."),
        (
            [5.1, None, None, 3.5, None, None, 3.3],
            "Only training loss can tell: validation loss was not logged inside it.",
        ),
        ([*CALM, 3.25, 3.2], "Only training loss rose; validation loss did not follow."),
        ([*CALM, 4.4, 3.2], "Training and validation rose together"),
    ],
)
def test_who_saw_it(val: list[float | None] | None, sentence: str) -> None:
    case = case_of(points([*CALM, 4.5, 3.2], val), [spike(5)])

    assert sentence in said(only(analyse_spikes(case)))


@pytest.mark.parametrize(
    ("tail", "end", "sentence"),
    [
        ([4.8, 3.2], 5, "It lasted 1 step."),
        ([4.8, 4.8, 4.7, 3.2], 7, "It lasted 3 steps."),
    ],
)
def test_a_dense_log_tells_the_duration(tail: list[float], end: int, sentence: str) -> None:
    case = case_of(points([*CALM, *tail]), [spike(5, end)])

    text = said(only(analyse_spikes(case)))

    assert sentence in text
    assert "It began at step 5." in text


def test_several_sparse_points_bound_the_duration() -> None:
    case = case_of(points([*CALM, 4.8, 4.8, 3.2], every=10), [spike(50, 60)])

    assert "It lasted between 11 and 29 steps." in said(only(analyse_spikes(case)))


def test_a_divergence_swallows_the_spike_that_it_began_with() -> None:
    losses = [*CALM, 6.0, 7.0, 8.0]
    lasting = finding(FindingKind.DIVERGENCE, 5, 7, recovered=False)

    analysis = only(
        analyse_spikes(case_of(points(losses), [spike(5, 7, recovered=False), lasting]))
    )

    assert "A divergence: from step 4 to 7" in said(analysis)
    assert analysis.peak_step == 7


def test_a_spike_at_the_first_point_has_only_its_evidence() -> None:
    analysis = only(analyse_spikes(case_of(points([9.0, 3.0]), [spike(0)])))

    assert analysis.sentences == ("spike seen",)
    assert analysis.previous_step is None


def test_a_loss_that_is_no_number_is_not_a_peak() -> None:
    case = case_of(points([*CALM, 4.8, math.nan, 3.2]), [spike(5)])

    assert only(analyse_spikes(case)).peak_step == 5


def test_no_spike_no_analysis() -> None:
    flat = finding(FindingKind.PLATEAU, 2, 6)

    assert analyse_spikes(case_of(points([*CALM, 3.2, 3.2]), [flat])) == ()

"""What a reader of a growing log is told of a loss that jumped, point by point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from sweeper.curves import Curve, Finding, FindingKind
from sweeper.curves.detection import detect
from sweeper.diagnosis.case import Case
from sweeper.diagnosis.follow import Change, News, compare_findings
from sweeper.diagnosis.patience import settled_findings
from tests.diagnosis.fakes import case_of, points

NOISY = [float(loss) for loss in 9 + 0.8 * np.random.default_rng(3).standard_normal(50)]


def case(losses: Sequence[float]) -> Case:
    rows = points(losses)
    return case_of(rows, detect(Curve(rows)))


def told(losses: Sequence[float]) -> list[News]:
    """Everything that is told while the log grows by a point at a time."""
    known: tuple[Finding, ...] = ()
    news: list[News] = []
    for length in range(2, len(losses) + 1):
        now = case(losses[:length])
        new, known = compare_findings(known, settled_findings(now, known), length - 1)
        news += new
    return news


def of_divergence(news: Sequence[News]) -> list[tuple[Change, int]]:
    return [(n.change, n.step) for n in news if n.finding.kind is FindingKind.DIVERGENCE]


def jumped(
    num_points: int, at: int, height: float, points_back: float, noise: float = 0.03
) -> list[float]:
    """A loss that falls, jumps, and comes back by a factor of e in so many points."""
    rng = np.random.default_rng(0)
    place = np.arange(num_points)
    falling = 3 + 6 * np.exp(-place / 20) + noise * rng.standard_normal(num_points)
    up = np.where(place >= at, height * np.exp(-np.maximum(place - at, 0) / points_back), 0)
    return [float(loss) for loss in falling + up]


@pytest.mark.parametrize(
    "losses",
    [
        pytest.param(jumped(20, 8, 4, 2), id="within a few points"),
        pytest.param(jumped(100, 50, 5, 5), id="within twenty"),
        pytest.param(jumped(100, 50, 20, 8), id="from above the start"),
        pytest.param(jumped(250, 100, 4, 50), id="slowly"),
    ],
)
def test_a_spike_on_its_way_down_is_told_as_a_spike_alone(losses: list[float]) -> None:
    assert any(
        finding.kind is FindingKind.DIVERGENCE
        for length in range(2, len(losses))
        for finding in case(losses[:length]).findings
    ), "a log that ended there would have diverged"

    news = told(losses)

    assert of_divergence(news) == []
    first, *_, last = [n for n in news if n.finding.kind is FindingKind.SPIKE]
    assert (first.change, first.finding.recovered) == (Change.FOUND, False)
    assert (last.change, last.finding.recovered) == (Change.CHANGED, True)


@pytest.mark.parametrize(
    ("losses", "by"),
    [
        pytest.param([*[5.0] * 20, *[9.0] * 30], 27, id="stays"),
        pytest.param([*[5.0] * 80, *[9.0] * 30], 91, id="stays, of a longer run"),
        pytest.param([15.5, 13.0, 3.8, 2.4, 1.4, *np.linspace(5, 12, 20)], 12, id="rises on"),
        pytest.param([*jumped(50, 50, 0, 1), *NOISY], 70, id="noisily"),
        pytest.param(
            [*[3.0] * 40, *[3.0 + 0.02 * i for i in range(60)]], 65, id="climbs, no spike"
        ),
    ],
)
def test_a_loss_that_stays_up_is_told_once_it_has(losses: list[float], by: int) -> None:
    (found, *later) = of_divergence(told(losses))

    assert found[0] is Change.FOUND
    assert found[1] <= by
    assert all(change is Change.CHANGED for change, _ in later)


def test_a_divergence_that_was_told_is_not_held_back_again() -> None:
    falling = [*[5.0] * 20, *[9.0] * 20, *np.linspace(9.0, 7.5, 20)]
    (divergence,) = case(falling).of_kind(FindingKind.DIVERGENCE)

    assert divergence in settled_findings(case(falling), [divergence])


def test_other_findings_are_told_at_once() -> None:
    jump = case([*[5.0] * 20, 9.0])

    assert settled_findings(jump, ()) == jump.findings != ()

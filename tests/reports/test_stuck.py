"""When a report says that hyperparameters are not the problem, and what it says is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sweeper.curves.curve import Curve, Point
from sweeper.reports.content import report_content
from sweeper.reports.html import render_html
from sweeper.reports.markdown import render_markdown
from sweeper.reports.stuck import Stuck, why_stuck
from sweeper.reports.terminal import summary
from sweeper.search.results import StudyResults, TrialResult
from sweeper.study import StudySpec
from tests.diagnosis.fakes import FLOORS

from . import fakes
from .test_terminal import plain

BLIND, FOREIGN, KNOWS = 6.94, 6.2, 5.1


def trial(number: int, start: float, *losses: float, **changes: object) -> TrialResult:
    values = (start, *losses)
    points = [Point(step, 1000 * step, val_loss=loss) for step, loss in enumerate(values)]
    return fakes.trial(number, Curve(tuple(points)), **changes)


def study(
    spec: StudySpec,
    start: float,
    lowest: float | None,
    embedded: float | None = None,
    **floors: object,
) -> StudyResults:
    """A baseline, a trial at another rate, and maybe one that trains the embeddings."""
    trials = [trial(0, start, *([] if lowest is None else [lowest + 0.2]))]
    if lowest is not None:
        trials.append(trial(1, start, lowest, lowest + 0.5, learning_rate=3e-3))
    if embedded is not None:
        trials.append(trial(2, start, embedded, train_also="embeddings+norms"))
    results = fakes.results_of(spec, *trials)
    return replace(results, floors=FLOORS.model_copy(update=floors))


def said(results: StudyResults) -> Stuck:
    stuck = why_stuck(results)
    assert stuck is not None
    return stuck


def verdicts(results: StudyResults) -> str:
    """The first letters of the verdicts: weights, embeddings, tokenizer, hyperparameters."""
    return "".join(cause.verdict.value[0] for cause in said(results).causes)


@pytest.mark.parametrize(
    ("start", "lowest", "embedded", "untrained", "expected"),
    [
        (BLIND, 6.3, None, True, "succ"),
        (BLIND, 6.3, 5.0, True, "sscc"),
        (BLIND, 6.3, 5.9, True, "sccc"),
        (BLIND, 5.0, None, True, "sucu"),
        (BLIND, None, None, True, "sucu"),
        (BLIND, 6.3, None, None, "suuc"),
        (BLIND, 6.3, None, False, "cusc"),
        (FOREIGN, 5.7, None, False, "cusc"),
        (FOREIGN, 5.7, 4.9, None, "usuc"),
        (FOREIGN, 5.54, None, False, "cusc"),
        (FOREIGN, 5.5, None, False, None),
        (KNOWS, 4.0, None, False, None),
        (KNOWS, 5.6, None, False, None),  # rates that only made it worse
        (float("nan"), 6.3, None, True, None),
    ],
)
def test_verdicts(
    spec: StudySpec,
    start: float,
    lowest: float | None,
    embedded: float | None,
    untrained: bool | None,
    expected: str | None,
) -> None:
    results = study(spec, start, lowest, embedded, looks_untrained=untrained)
    if expected is None:
        assert why_stuck(results) is None
    else:
        assert verdicts(results) == expected


def test_headline_has_the_numbers_and_the_way_out(spec: StudySpec) -> None:
    assert said(study(spec, BLIND, 6.3, 5.0)).headline == (
        "Hyperparameters are not the problem: the base starts at 6.940 nats, a blind guess among "
        "its 1,024 tokens (ln 1,024 = 6.931), and none of the 2 trials that train the adapter "
        "alone came below 5.580, what the frequencies of tokens give without any context; the "
        "lowest is 6.300. Trial 2, which trains the embeddings too, reached 5.000, 0.580 below it."
    )
    assert "not the first problem" in said(study(spec, BLIND, 5.0)).headline


def test_advice_fits_the_cause(spec: StudySpec) -> None:
    assert "as trial 2 did" in said(study(spec, BLIND, 6.3, 5.0)).advice
    assert "as trial" not in said(study(spec, BLIND, 6.3, 5.9)).advice
    assert "plain English" in said(study(spec, FOREIGN, 5.7, looks_untrained=False)).advice


def test_nothing_is_said_without_marks(spec: StudySpec, results: StudyResults) -> None:
    assert why_stuck(replace(study(spec, BLIND, 6.3), floors=None)) is None
    assert why_stuck(replace(results, floors=FLOORS)) is None
    assert why_stuck(replace(fakes.results_of(spec), floors=FLOORS)) is None


def test_every_outlet_says_it_right_after_the_result(spec: StudySpec) -> None:
    results = study(spec, BLIND, 6.3, 5.0)
    content = report_content(results)
    markdown = render_markdown(content)
    assert markdown.index("not the problem") < markdown.index("How sure") < markdown.index("## ")
    assert "| the base was never trained | supported | Fresh weights start" in markdown
    page = render_html(content, {figure.file: b"" for figure in content.figures})
    assert page.count("not the problem") == 1
    assert "<h2>Why it is stuck</h2>" in page
    assert "Hyperparameters are not the problem" in plain(summary(results))

"""What is shown while a study runs: a panel on a terminal, lines elsewhere."""

from __future__ import annotations

import io

from rich.console import Console

from sweeper.curves import Point, StopReason
from sweeper.reports.live import RunView, StudyView
from sweeper.search.progress import RunningTrial, Snapshot

RUNNING = RunningTrial(
    number=7,
    label="bigger \x1b[31mbatch",
    point=Point(30, 30_000, 4.5, learning_rate=2e-3, seconds=3.0),
    total_steps=240,
    total_tokens=240_000,
)
UNDER_WAY = Snapshot(
    num_trials=24,
    ended={StopReason.COMPLETED: 5, StopReason.SPIKE: 1},
    running=(RUNNING,),
    tokens=1_230_000,
    best_number=3,
    best_val_loss=3.9,
    baseline_val_loss=5.2,
)


def console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=100, color_system=None)


def text_of(shown: Console) -> str:
    assert isinstance(shown.file, io.StringIO)
    return shown.file.getvalue()


def test_elsewhere_than_on_a_terminal_a_line_comes_only_when_a_trial_ends() -> None:
    shown = console(terminal=False)

    with StudyView(shown) as view:
        view.observe(Snapshot(num_trials=24))
        view.observe(Snapshot(num_trials=24, tokens=5_000))
        view.observe(UNDER_WAY)
        view.observe(UNDER_WAY)

    assert text_of(shown).splitlines() == [
        "training the first trials",
        "6/24 trials  best 3.900 nats (trial 3), baseline 5.200, Δ -1.300",
    ]


def test_a_part_of_a_study_is_named_and_counted_from_its_own_start() -> None:
    shown = console(terminal=False)
    seconds = iter([0.0, 0.0, 1000.0, 1010.0])
    part = "other seeds, look 1 of 2"
    with StudyView(shown, clock=lambda: next(seconds)) as view:
        view.observe(UNDER_WAY)
        view.observe(Snapshot(num_trials=20, part=part))
        ended = {StopReason.COMPLETED: 5}
        begun = Snapshot(num_trials=20, ended=ended, tokens=5_000, part=part)
        view.observe(begun)
        shown.print(view.panel(begun))
    text = text_of(shown)
    assert f"{part}: training the first trials" in text
    assert f"{part}: 5/20 trials\n" in text
    assert f"{part}: trials" in text
    assert "30.0 s left" in text, "fifteen trials at two seconds each"
    assert "baseline" not in text.split(part)[-1]


def test_the_panel_shows_trials_tokens_best_and_what_runs() -> None:
    shown = console(terminal=False)
    seconds = iter([0.0, 0.0, 60.0])
    view = StudyView(shown, clock=lambda: next(seconds))
    view.observe(Snapshot(num_trials=24))

    shown.print(view.panel(UNDER_WAY))

    text = text_of(shown)
    for part in ("6/24", "1.23M tokens", "5 completed", "1 spike", "best 3.900", "Δ -1.300"):
        assert part in text
    for part in ("30/240", "4.500", "2.00e-03", "10k", "bigger batch"):
        assert part in text
    assert "\x1b" not in text
    # 1.2 M tokens for 6 trials: 18 more cost 3.6 M, 30 k of them seen, at 1.23 M a minute.
    assert "about 2 min 5" in text


def test_a_single_run_is_silent_where_no_terminal_is() -> None:
    shown = console(terminal=False)

    with RunView(shown) as view:
        view.tell("pretraining", 1, 10)
        view.observe(Point(1, 100, 5.0), 1_000)

    assert text_of(shown) == ""


def test_a_single_run_shows_loss_rate_and_speed_on_a_terminal() -> None:
    shown = console(terminal=True)

    with RunView(shown) as view:
        view.observe(Point(2, 200, 5.0, learning_rate=1e-3, seconds=2.0), 1_000)

    text = text_of(shown)
    for part in ("200/1000", "5.000", "1.00e-03", "100"):
        assert part in text


def test_a_terminal_is_drawn_on_when_there_is_news_and_at_most_four_times_a_second() -> None:
    shown = console(terminal=True)
    now = [0.0]

    with StudyView(shown, clock=lambda: now[0]) as view:
        for step in range(1, 21):
            now[0] = step / 20
            view.tell("pretraining", step, 20)
        before = text_of(shown)
        now[0] = 60.0
        assert text_of(shown) == before

    assert [step for step in range(1, 21) if f" {step}/20" in before] == [1, 6, 11, 16]

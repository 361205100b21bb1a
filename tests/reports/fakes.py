"""Fake studies: 24 trials that end in every way, drawn from formulas, so that nothing is random."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

from sweeper.curves.curve import Curve, Point
from sweeper.curves.finding import StopReason
from sweeper.search.results import StudyResults, TrialResult
from sweeper.study import StudySpec

NO_CURVE = Curve()
START = 5.45
BUDGET_TOKENS = 400_000
RUNG_TOKENS = 40_000
BASELINE = {
    "block_size": 256,
    "batch_size": 8,
    "accumulation": 1,
    "learning_rate": 2e-5,
    "schedule": "cosine",
    "rank": 8,
}
HOSTILE = 'x<script>alert("1")</script> | `rm` $^$ \x1b[31mred\x1b[0m\n# line \u202eabc http://evil.example'


def wobble(step: int) -> float:
    """A bounded, irregular, repeatable noise in [-1, 1]."""
    return math.sin(step * 12.9898) * math.cos(step * 4.1414)


def learning_curve(
    final: float,
    *,
    tokens: int = BUDGET_TOKENS,
    rate: float = 1e-3,
    speed: float = 20_000.0,
    num_steps: int = 240,
    jump_at: float | None = None,
) -> Curve:
    """A curve falling from START to about `final`, with a jump of 4 nats from `jump_at` on."""
    points = []
    evaluated = -RUNG_TOKENS
    for step in range(num_steps + 1):
        seen = BUDGET_TOKENS * step // num_steps
        if seen > tokens:
            break
        loss = final + (START - final) * math.exp(-4.5 * seen / BUDGET_TOKENS)
        if jump_at is not None and seen >= jump_at * BUDGET_TOKENS:
            loss += 4.0
        due = seen - evaluated >= RUNG_TOKENS
        evaluated = seen if due else evaluated
        points.append(
            Point(
                step=step,
                tokens=seen,
                train_loss=loss + 0.12 * wobble(step),
                val_loss=loss + 0.04 if due else None,
                learning_rate=rate * min(1.0, (step + 1) / 24),
                grad_norm=0.5 + 0.3 * wobble(step + 7) + (6.0 if jump_at and loss > START else 0),
                seconds=seen / speed,
            )
        )
    return Curve(tuple(points))


def trial(
    number: int,
    curve: Curve = NO_CURVE,
    stop_reason: StopReason | None = StopReason.COMPLETED,
    **changes: object,
) -> TrialResult:
    """A trial whose end is the end of its curve; `changes` are hyperparameters."""
    last = curve.points[-1] if len(curve) else Point(0, 0)
    return TrialResult(
        number=number,
        state="running" if stop_reason is None else "ended",
        stop_reason=stop_reason,
        evidence="" if stop_reason is StopReason.COMPLETED else "the numbers behind it",
        is_baseline=number == 0,
        hypothesis=None,
        hyperparameters={**BASELINE, **changes},
        val_loss=curve.last_val_loss,
        tokens=last.tokens,
        seconds=last.seconds or 0.0,
        folder=Path("trials") / f"{number:04d}",
        curve=curve,
    )


def poisoned(curve: Curve, at: int = 60) -> Curve:
    """The curve with NaN losses, and an infinite gradient norm, from point `at` to `at` + 2."""
    points = list(curve.points[: at + 3])
    for index in range(at, at + 3):
        points[index] = replace(
            points[index], train_loss=math.nan, val_loss=math.nan, grad_norm=math.inf
        )
    return Curve(tuple(points))


def recorded_curve() -> Curve:
    """A recorded log: steps only, with a spike at step 2000."""
    losses = (9.227, 6.954, 6.581, 6.651, 9.585, 6.642)
    return Curve(
        tuple(
            Point(step=500 * i, tokens=0, train_loss=loss, val_loss=loss + 0.08)
            for i, loss in enumerate(losses)
        )
    )


def _sampled(number: int) -> TrialResult:
    rate = 10 ** (-4.5 + 0.16 * number)
    final = 3.85 + 0.35 * abs(number - 11) ** 0.9 * 0.6
    block, batch, accumulation = (
        (64, 128, 256)[number % 3],
        (4, 8, 16, 32)[number % 4],
        1 + number % 2,
    )
    speed = 9_000.0 + 3_000 * (256 / block) + 150 * batch
    shape = {
        "block_size": block,
        "batch_size": batch,
        "accumulation": accumulation,
        "learning_rate": rate,
        "schedule": ("constant", "linear", "cosine")[number % 3],
    }
    return trial(number, learning_curve(min(final, 5.2), rate=rate, speed=speed), **shape)


def _ended(
    number: int, reason: StopReason, tokens: int, jump_at: float | None = None
) -> TrialResult:
    base = _sampled(number)
    curve = learning_curve(
        4.2 + number / 40, tokens=tokens, rate=10 ** (-4.5 + 0.16 * number), jump_at=jump_at
    )
    return replace(
        trial(number, curve, reason), hyperparameters=base.hyperparameters, evidence="why it ended"
    )


def all_trials() -> tuple[TrialResult, ...]:
    """24 trials: baseline, three hypotheses, a duplicate, every stop reason, running, waiting."""
    baseline = trial(0, learning_curve(5.33, rate=2e-5, speed=15_000))
    trials = {0: baseline, **{number: _sampled(number) for number in range(1, 24)}}
    trials[1] = replace(
        trial(1, learning_curve(5.30, speed=24_000), block_size=128), hypothesis="smaller blocks"
    )
    trials[2] = replace(
        trial(2, learning_curve(5.36, speed=14_500), accumulation=4), hypothesis="bigger batch"
    )
    trials[3] = replace(
        trial(3, learning_curve(5.4, tokens=120_000), StopReason.PLATEAU, learning_rate=1e-5),
        hypothesis="constant low LR",
    )
    trials[9] = replace(trials[4], number=9, same_as=4)
    trials[6] = _ended(6, StopReason.PEERS, 160_000)
    trials[7] = _ended(7, StopReason.PLATEAU, 200_000)
    trials[8] = _ended(8, StopReason.PEERS, 80_000)
    trials[13] = _ended(13, StopReason.TIMEOUT, 240_000)
    trials[15] = _ended(15, StopReason.PREEMPTED, 120_000)
    trials[17] = replace(_ended(17, StopReason.OUT_OF_MEMORY, 0), val_loss=None, curve=Curve())
    trials[18] = _ended(18, StopReason.ERROR, 44_000)
    trials[19] = _ended(19, StopReason.SPIKE, 200_000, jump_at=0.4)
    trials[20] = _ended(20, StopReason.SPIKE, 120_000, jump_at=0.2)
    trials[21] = replace(
        _ended(21, StopReason.NON_FINITE, 120_000),
        curve=poisoned(learning_curve(4.6, tokens=120_000)),
        val_loss=math.nan,
    )
    trials[22] = replace(_ended(22, StopReason.PEERS, 200_000), stop_reason=None, state="running")
    trials[23] = replace(trial(23, stop_reason=None), state="waiting")
    return tuple(trials[number] for number in range(24))


def results_of(
    spec: StudySpec, *trials: TrialResult, folder: Path = Path("reports/plateau")
) -> StudyResults:
    """Results with exactly these trials."""
    return StudyResults(spec=spec, folder=folder, trials=trials)


def full_results(spec: StudySpec, folder: Path = Path("reports/plateau")) -> StudyResults:
    """All 24 trials with importances and a recorded log."""
    return StudyResults(
        spec=spec,
        folder=folder,
        trials=all_trials(),
        importances={
            "learning_rate": 0.71,
            "schedule": 0.04,
            "block_size": 0.09,
            "batch_size": 0.16,
        },
        recorded=recorded_curve(),
    )


def crowd(spec: StudySpec, amount: int = 620) -> StudyResults:
    """The 24 trials over and over: more than a page shows one by one."""
    first, *others = all_trials()
    more = [
        replace(others[number % len(others)], number=number + 1, same_as=None)
        for number in range(amount - 1)
    ]
    return results_of(spec, first, *(replace(t, hypothesis=None) for t in more))

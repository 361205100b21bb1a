from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import optuna
import pytest
from optuna.trial import TrialState

from sweeper.curves.spike import SpikeSettings
from sweeper.search.pruners import PlateauPruner, SpikePruner

Series = Sequence[float]
CALM = [5.0 - 0.1 * i for i in range(12)]


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def objective(curves: Sequence[Series]) -> Callable[[optuna.Trial], float]:
    def follow(trial: optuna.Trial) -> float:
        for step, value in enumerate(curves[trial.number]):
            trial.report(value, step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return curves[trial.number][-1]

    return follow


def optimized(
    pruner: optuna.pruners.BasePruner, *curves: Series, maximise: bool = False
) -> list[int | None]:
    """The last step of every pruned trial, None for one that went to its end."""
    direction = "maximize" if maximise else "minimize"
    study = optuna.create_study(direction=direction, pruner=pruner)
    flipped = [[-value for value in curve] if maximise else curve for curve in curves]
    study.optimize(objective(flipped), n_trials=len(curves))
    return [t.last_step if t.state is TrialState.PRUNED else None for t in study.trials]


@pytest.mark.parametrize("maximise", [False, True])
def test_a_spike_that_stays_is_pruned_after_its_patience(maximise: bool) -> None:
    stays = [*CALM[:6], *[9.0] * 6]
    below = [*CALM[:9], *[4.8] * 6]

    assert optimized(SpikePruner(), stays, below, CALM, maximise=maximise) == [8, 11, None]
    assert optimized(SpikePruner(patience=0), stays, maximise=maximise) == [6]
    assert optimized(SpikePruner(patience=4), stays, maximise=maximise) == [10]


@pytest.mark.parametrize("maximise", [False, True])
def test_a_spike_that_recovers_is_forgiven(maximise: bool) -> None:
    recovers = [*CALM[:6], 9.0, 9.0, *CALM[6:]]

    assert optimized(SpikePruner(patience=2), recovers, maximise=maximise) == [None]
    assert optimized(SpikePruner(patience=1), recovers, maximise=maximise) == [7]


def test_a_rise_where_rises_are_good_is_no_spike() -> None:
    study = optuna.create_study(direction="maximize", pruner=SpikePruner(patience=0))
    study.optimize(objective([[0.1, 0.2, 0.9, 0.9, 0.9]]), n_trials=1)

    assert study.trials[0].state is TrialState.COMPLETE


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinity_is_pruned_at_once(value: float) -> None:
    assert optimized(SpikePruner(patience=9), [5.0, 4.0, value, 4.0]) == [2]


def test_nan_is_pruned_at_once() -> None:
    assert optimized(SpikePruner(patience=9), [5.0, math.nan, 4.0]) == [1]


def test_the_settings_are_the_detectors() -> None:
    small = [1.0, 1.0, 1.1, 1.1, 1.1, 1.1]

    assert optimized(SpikePruner(), small) == [None]
    assert optimized(
        SpikePruner(settings=SpikeSettings(few_nats=0.05, few_relative=0.05)), small
    ) == [4]


def test_reports_count_in_the_order_of_their_steps() -> None:
    study = optuna.create_study(pruner=SpikePruner(patience=0))
    trial = study.ask()
    for step in (3, 1, 2):
        trial.report({1: 9.0, 2: 5.0, 3: 4.9}[step], step)

    assert not trial.should_prune()


@pytest.mark.parametrize("maximise", [False, True])
def test_a_flat_trial_far_from_the_best_is_pruned(maximise: bool) -> None:
    flat = [5.0, 4.5, *[4.45, 4.44] * 5]

    assert optimized(PlateauPruner(), CALM, flat, maximise=maximise) == [None, 5]
    assert optimized(PlateauPruner(window=6), CALM, flat, maximise=maximise) == [None, 6]
    assert optimized(PlateauPruner(min_reports=9), CALM, flat, maximise=maximise) == [None, 8]


def test_a_flat_trial_near_the_best_or_alone_is_kept() -> None:
    flat = [5.0, *[3.95] * 9]

    assert optimized(PlateauPruner(margin=0.1), CALM, flat) == [None, None]
    assert optimized(PlateauPruner(margin=0.01), CALM, flat) == [None, 4]
    assert optimized(PlateauPruner(margin=0.0), flat) == [None]


def test_a_falling_trial_far_from_the_best_is_kept() -> None:
    falling = [9.0 - 0.3 * i for i in range(10)]

    assert optimized(PlateauPruner(), CALM, falling) == [None, None]


def test_the_best_may_be_running_still() -> None:
    study = optuna.create_study(pruner=PlateauPruner())
    ahead, flat = study.ask(), study.ask()
    for step in range(6):
        flat.report(5.0, step)
    assert not flat.should_prune()

    ahead.report(2.0, 0)
    assert flat.should_prune()
    assert not ahead.should_prune()


def test_a_best_that_is_no_number_does_not_count() -> None:
    study = optuna.create_study(pruner=PlateauPruner())
    broken, flat = study.ask(), study.ask()
    broken.report(-math.inf, 0)
    for step in range(6):
        flat.report(5.0, step)

    assert not flat.should_prune()


def test_a_trial_without_reports_is_kept() -> None:
    for pruner in (SpikePruner(), PlateauPruner()):
        assert not optuna.create_study(pruner=pruner).ask().should_prune()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SpikePruner(patience=-1), "patience is -1"),
        (lambda: PlateauPruner(window=2), "window is 2"),
        (lambda: PlateauPruner(margin=-0.1), "margin is -0.1"),
        (lambda: PlateauPruner(margin=math.nan), "margin is nan"),
    ],
)
def test_settings_that_cannot_work_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()

"""How a trial ended, written down in Optuna."""

from __future__ import annotations

import warnings
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from sweeper.curves import Stop, StopReason
from sweeper.search import attributes as attrs
from sweeper.search.artifacts.record import known_lost, known_point, told_words
from sweeper.search.drawing.memory import place_of
from sweeper.search.outcomes import Result, failure, violation
from sweeper.search.storage import last_words
from sweeper.search.storages.together import set_together
from sweeper.study import StudySpec

_STATE_OF = {StopReason.COMPLETED: TrialState.COMPLETE, StopReason.ERROR: TrialState.FAIL}


def given_up(spec: StudySpec, trial: FrozenTrial, crashes: int) -> Result:
    """What becomes of a trial whose workers have died so often that it is not begun again."""
    times = "once" if crashes == 1 else f"{crashes} times"
    text = f"its worker died {times} while training it"
    last = last_words(spec, trial.number) or told_words(trial)
    stop = Stop(StopReason.ERROR, f"{text}: {last}" if last else text)
    return failure(stop, known_point(spec, trial))


def tell_result(
    study: optuna.Study,
    storage: BaseStorage,
    spec: StudySpec,
    number: int,
    trial_id: int,
    result: Result,
) -> None:
    """Tell Optuna how a trial ended; whoever calls it holds the study's lock.

    Args:
        study: Optuna's.
        storage: Where it is.
        spec: Of the study.
        number: The trial's.
        trial_id: Optuna's identifier of it.
        result: What it came to.
    """
    trial = storage.get_trial(trial_id)
    lost = known_lost(spec, trial)
    values: dict[str, Any] = {
        attrs.STOP_REASON: result.stop.reason.value,
        attrs.EVIDENCE: result.stop.evidence,
        attrs.VAL_LOSS: result.val_loss,
        attrs.TOKENS: result.tokens,
        attrs.SECONDS: result.seconds,
        attrs.LOST_TOKENS: lost.tokens,
        attrs.LOST_SECONDS: lost.seconds,
        attrs.SAME_AS: result.same_as,
    }
    if result.overflow is not None:
        values[attrs.OVERFLOW] = {"micro_batch": result.overflow, "place": place_of(spec)}
    set_together(storage, trial_id, values)
    if attrs.VIOLATION not in trial.constraints:
        Trial(study, trial_id).set_constraint(attrs.VIOLATION, violation(result))
    # The lease stays: whoever is cut off before the last write can do all of it again.
    _end(study, number, result)


def _end(study: optuna.Study, number: int, result: Result) -> None:
    state = _STATE_OF.get(result.stop.reason, TrialState.PRUNED)
    loss = result.val_loss if state is TrialState.COMPLETE else None
    with warnings.catch_warnings():
        # CMA-ES goes by the losses alone; the violation is there for the dashboard.
        warnings.filterwarnings("ignore", "Constraints have been set", UserWarning)
        study.tell(number, loss, state=state)

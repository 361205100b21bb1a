"""How a study stands while it runs: read from its storage and its trials' curves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from optuna.trial import FrozenTrial, TrialState

from sweeper.curves import Point, StopReason
from sweeper.search import attributes as attrs
from sweeper.search.artifacts.record import known_point
from sweeper.search.drawing.prescribed import most_trials
from sweeper.search.store import StudyStore
from sweeper.study import Hyperparameters, StudySpec
from sweeper.training.course import Course


@dataclass(frozen=True)
class RunningTrial:
    """A trial that is being trained.

    Attributes:
        number: Its number.
        label: `baseline`, a hypothesis's name, what it is on other seeds, or empty.
        point: Its newest point; None before the first.
        total_steps: Steps of its whole run.
        total_tokens: Tokens of its whole run.
    """

    number: int
    label: str
    point: Point | None
    total_steps: int
    total_tokens: int

    @property
    def tokens_per_s(self) -> float | None:
        """Training speed so far."""
        if self.point is None or not self.point.seconds:
            return None
        return self.point.tokens / self.point.seconds


@dataclass(frozen=True)
class Snapshot:
    """A study at one moment.

    Attributes:
        num_trials: Budget of trials.
        ended: Trials ended, by stop reason.
        running: Trials in somebody's hand.
        tokens: Tokens seen by all trials.
        best_number: Completed trial of lowest loss, the baseline included.
        best_val_loss: Its validation loss, in nats.
        baseline_val_loss: The baseline's, once it has one.
        part: What the trials are for, where it is not the search.
    """

    num_trials: int
    ended: Mapping[StopReason, int] = field(default_factory=dict)
    running: tuple[RunningTrial, ...] = ()
    tokens: int = 0
    best_number: int | None = None
    best_val_loss: float | None = None
    baseline_val_loss: float | None = None
    part: str = ""

    @property
    def num_ended(self) -> int:
        """Trials that are over."""
        return sum(self.ended.values())


def take_snapshot(store: StudyStore) -> Snapshot:
    """How the study stands now."""
    trials = store.trials()
    ended = [trial for trial in trials if trial.state.is_finished()]
    running = tuple(
        _running(store.spec, trial) for trial in trials if trial.state is TrialState.RUNNING
    )
    completed = [trial for trial in ended if trial.state is TrialState.COMPLETE]
    best = min(completed, key=lambda trial: (trial.value, trial.number), default=None)
    baseline = next((t for t in trials if t.user_attrs.get(attrs.BASELINE)), None)
    return Snapshot(
        num_trials=min(store.spec.budget.trials, most_trials(store.spec)),
        ended=Counter(stop_reason_of(trial) for trial in ended),
        running=tuple(t for t in running if trials[t.number].user_attrs.get(attrs.LEASE)),
        tokens=sum(trial.user_attrs.get(attrs.TOKENS, 0) for trial in ended)
        + sum(trial.point.tokens for trial in running if trial.point),
        best_number=None if best is None else best.number,
        best_val_loss=None if best is None else best.value,
        baseline_val_loss=None
        if baseline is None
        else baseline.user_attrs.get(attrs.VAL_LOSS) or _newest(baseline),
    )


def stop_reason_of(trial: FrozenTrial) -> StopReason:
    """How an ended trial ended; one that another program failed counts as an error."""
    return StopReason(trial.user_attrs.get(attrs.STOP_REASON, StopReason.ERROR.value))


def _newest(trial: FrozenTrial) -> float | None:
    values = trial.intermediate_values
    return values[max(values)] if values else None


def _running(spec: StudySpec, trial: FrozenTrial) -> RunningTrial:
    plain = trial.user_attrs.get(attrs.HYPERPARAMETERS)
    recipe = Hyperparameters.model_validate(plain) if plain else spec.baseline_hyperparameters
    course = Course.of(recipe, spec.budget.tokens_per_trial, spec.evaluate.rungs)
    label = "baseline" if trial.user_attrs.get(attrs.BASELINE) else ""
    return RunningTrial(
        number=trial.number,
        label=label or trial.user_attrs.get(attrs.HYPOTHESIS) or "",
        point=known_point(spec, trial),
        total_steps=course.total_steps,
        total_tokens=course.total_tokens,
    )

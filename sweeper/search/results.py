"""What a study has found so far, as plain values that reports and the CLI read."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from sweeper.curves import Curve, StopReason, read_curve
from sweeper.diagnosis.floors import Floors, read_floors
from sweeper.errors import NoCompletedTrialError, UsageError
from sweeper.logs import read_log
from sweeper.search import attributes as attrs
from sweeper.search.artifacts.fetching import fetch_ended
from sweeper.search.artifacts.record import known_lost, known_point
from sweeper.search.audit import Audit
from sweeper.search.progress import stop_reason_of
from sweeper.search.storage import trial_folder
from sweeper.search.store import StudyStore
from sweeper.search.verifying.verdicts import Verification, load_verification
from sweeper.search.workers.timesheets import worker_seconds
from sweeper.study import StudySpec
from sweeper.training.examination import Examination, read_examination
from sweeper.training.lost import Lost

MIN_TRIALS_FOR_IMPORTANCE = 8


@dataclass(frozen=True)
class TrialResult:
    """One trial, ended or not.

    Attributes:
        number: Optuna's trial number; the baseline is 0.
        state: `running`, `waiting` (not begun, or released by its worker), or `ended`.
        stop_reason: How it ended; None while it has not.
        evidence: The sentence behind the stop reason.
        is_baseline: Whether this is the re-run baseline.
        hypothesis: Name of the hypothesis that it tests, if any.
        hyperparameters: Resolved values by name, as in the study file.
        val_loss: Validation loss at the end, in nats; None without an evaluation.
        tokens: Tokens seen.
        seconds: Training seconds, evaluation left out.
        folder: The trial's folder.
        curve: Its points.
        same_as: Number of the earlier trial that was the same experiment and lent its result.
        audit: The stop that it went on from, if it was audited.
        lost: What interrupted attempts at it trained beside this, and lost.
        examination: What was found out about its spike, if it was examined.
    """

    number: int
    state: str
    stop_reason: StopReason | None
    evidence: str
    is_baseline: bool
    hypothesis: str | None
    hyperparameters: Mapping[str, object]
    val_loss: float | None
    tokens: int
    seconds: float
    folder: Path
    curve: Curve = field(default_factory=Curve)
    same_as: int | None = None
    audit: Audit | None = None
    lost: Lost = field(default_factory=Lost)
    examination: Examination | None = None

    @property
    def completed(self) -> bool:
        """Whether it ran to its full budget."""
        return self.stop_reason is StopReason.COMPLETED

    @property
    def tokens_per_s(self) -> float | None:
        """Training speed; None before the first step."""
        return self.tokens / self.seconds if self.seconds > 0 else None


@dataclass(frozen=True)
class StudyResults:
    """A study and all its trials, in the order of their numbers.

    Attributes:
        wall_clock_s: Seconds for which its search was at work, over all calls.
        worker_s: Seconds at work of all its workers.
        floors: What its losses are held against; None for a command, and where the study was run
            under a version that did not keep them.
    """

    spec: StudySpec
    folder: Path
    trials: tuple[TrialResult, ...]
    importances: Mapping[str, float] = field(default_factory=dict)
    recorded: Curve | None = None
    verification: Verification | None = None
    wall_clock_s: float = 0.0
    worker_s: float = 0.0
    floors: Floors | None = None

    @cached_property
    def baseline(self) -> TrialResult | None:
        """The baseline's trial, once it exists."""
        return next((trial for trial in self.trials if trial.is_baseline), None)

    @cached_property
    def ranked(self) -> tuple[TrialResult, ...]:
        """Completed trials with a finite loss, the best first, the earliest of equals."""
        done = [
            (trial.val_loss, trial.number, trial)
            for trial in self.trials
            if trial.completed and trial.val_loss is not None and math.isfinite(trial.val_loss)
        ]
        return tuple(trial for _, _, trial in sorted(done, key=lambda entry: entry[:2]))

    @cached_property
    def best(self) -> TrialResult | None:
        """The completed trial of lowest validation loss, the earliest of equals."""
        return next(iter(self.ranked), None)

    def delta(self, trial: TrialResult) -> float | None:
        """Validation loss of a trial less the baseline's, in nats; below 0 is better."""
        baseline = self.baseline
        if baseline is None or baseline.val_loss is None or trial.val_loss is None:
            return None
        return trial.val_loss - baseline.val_loss


def find_trial(results: StudyResults, number: int | None) -> TrialResult:
    """The trial of a number, or the best one, with a result of its own to train again.

    Raises:
        NoCompletedTrialError: No number was given and no trial has completed.
        UsageError: There is no such trial, or it has not ended.
    """
    if number is None:
        if results.best is None:
            raise NoCompletedTrialError(
                f"no trial of {results.spec.name} has completed yet; name one with --trial"
            )
        number = results.best.number
    by_number = {trial.number: trial for trial in results.trials}
    found = by_number.get(number)
    if found is not None and found.same_as is not None:
        found = by_number[found.same_as]
    if found is None or found.state != "ended" or not found.curve.points:
        ended = [t.number for t in results.trials if t.state == "ended" and t.curve.points]
        listed = ", ".join(map(str, ended)) or "none yet"
        raise UsageError(f"--trial {number}: has no result to train again (allowed: {listed})")
    return found


def load_results(store: StudyStore) -> StudyResults:
    """Read everything that a study has found so far.

    Raises:
        CheckpointError: A trial's curve or examination is damaged.
        LogError: The baseline's recorded log cannot be read.
    """
    spec = store.spec
    fetch_ended(store)
    trials = tuple(_trial_result(spec, trial) for trial in store.trials())
    recorded = None
    if spec.baseline.recorded is not None:
        recorded = read_log(spec.path.parent / spec.baseline.recorded).curve
    return StudyResults(
        spec=spec,
        folder=spec.output_folder,
        trials=trials,
        importances=importances_of(store),
        recorded=recorded,
        verification=load_verification(spec),
        wall_clock_s=float(store.study.user_attrs.get(attrs.SECONDS_SPENT, 0.0)),
        worker_s=worker_seconds(spec, store.study.user_attrs),
        floors=read_floors(spec.output_folder),
    )


def _trial_result(spec: StudySpec, trial: FrozenTrial) -> TrialResult:
    values = trial.user_attrs
    ended = trial.state.is_finished()
    same_as = values.get(attrs.SAME_AS)
    folder = trial_folder(spec, trial.number)
    source = folder if same_as is None else trial_folder(spec, same_as)
    curve = read_curve(source / "curve.jsonl") if (source / "curve.jsonl").is_file() else Curve()
    last = None if ended else known_point(spec, trial)
    running = trial.state is TrialState.RUNNING and values.get(attrs.LEASE) is not None
    return TrialResult(
        number=trial.number,
        state="ended" if ended else "running" if running else "waiting",
        stop_reason=stop_reason_of(trial) if ended else None,
        evidence=values.get(attrs.EVIDENCE, ""),
        is_baseline=bool(values.get(attrs.BASELINE)),
        hypothesis=values.get(attrs.HYPOTHESIS),
        hyperparameters=values.get(attrs.HYPERPARAMETERS) or values.get(attrs.FIXED) or {},
        val_loss=values.get(attrs.VAL_LOSS) if ended else curve.last_val_loss,
        tokens=values.get(attrs.TOKENS, 0) if ended else (last.tokens if last else 0),
        seconds=values.get(attrs.SECONDS, 0.0) if ended else (last and last.seconds) or 0.0,
        folder=folder,
        curve=curve,
        same_as=same_as,
        audit=Audit.read(values.get(attrs.AUDIT)),
        lost=Lost(values.get(attrs.LOST_TOKENS, 0), values.get(attrs.LOST_SECONDS, 0.0))
        if ended
        else known_lost(spec, trial),
        examination=read_examination(folder),
    )


def importances_of(store: StudyStore) -> dict[str, float]:
    """How much each hyperparameter mattered among the completed trials, summing to 1.

    PED-ANOVA (Watanabe et al. 2023, arXiv:2304.10255) of the best quarter
    against all. Empty with fewer than eight completed trials, or where every
    value is the same.
    """
    completed = [trial for trial in store.trials() if trial.state is TrialState.COMPLETE]
    values = {trial.value for trial in completed}
    if len(completed) < MIN_TRIALS_FOR_IMPORTANCE or len(values) < 2:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # Said of every rare value of a list; the figure names the number of trials instead.
        warnings.filterwarnings("ignore", "Some regimes for parameter", UserWarning)
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(
            target_quantile=0.25, region_quantile=1.0, evaluate_on_local=True
        )
        found = optuna.importance.get_param_importances(store.study, evaluator=evaluator)
    return dict(found)

"""How trials ended, told to the study: by the worker that holds them."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from optuna.exceptions import UpdateFinishedTrialError

from sweeper.curves import Curve, Point, Stop, StopReason, read_curve
from sweeper.errors import WorkerError
from sweeper.search import attributes as attrs
from sweeper.search.claim import Claim
from sweeper.search.dashboard import note_trial
from sweeper.search.drawing.memory import overflowing_batch
from sweeper.search.outcomes import Result, failure
from sweeper.search.peers import peers_of
from sweeper.search.storage import newest_point, trial_folder
from sweeper.search.store import StudyStore
from sweeper.search.workers.holding import Holding
from sweeper.training.lost import keep_lost
from sweeper.training.outcome import Outcome


class Books:
    """Enters what becomes of a worker's trials.

    A worker that was suspended past its lease may find a trial taken over, and ended too: what it
    then has to say of that trial is not entered, nor is it an error.

    Args:
        store: The study's.
        holding: The trials that the worker has in hand.
        stop_file: Has the other workers leave, where the study cannot go on.
        deliver: Called with a claim before its end is told.
    """

    def __init__(
        self,
        store: StudyStore,
        holding: Holding,
        stop_file: Path,
        deliver: Callable[[Claim], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._holding = holding
        self._stop_file = stop_file
        self._deliver = deliver

    def report(self, claim: Claim, point: Point) -> None:
        """Show a rung's loss to everybody; a point between two rungs has none."""
        if point.val_loss is not None and math.isfinite(point.val_loss):
            with suppress(UpdateFinishedTrialError):
                self._store.report(claim, point.tokens, point.val_loss)

    def finish(self, claim: Claim, outcome: Outcome) -> None:
        """End a trial as its training ended."""
        last = outcome.curve.points[-1] if outcome.curve.points else Point(step=0, tokens=0)
        self._report_rest(claim, outcome.curve)
        result = Result(
            stop=outcome.stop,
            val_loss=outcome.curve.last_val_loss,
            tokens=last.tokens,
            seconds=last.seconds or 0.0,
            best_val_loss=peers_of(self._store, claim).best_val_loss(),
            overflow=overflowing_batch(
                claim.hyperparameters, outcome.micro_batch, outcome.stop.reason
            ),
        )
        self.end(claim, result)

    def _report_rest(self, claim: Claim, curve: Curve) -> None:
        """Show what could not be when it came: a full disk may take a rung's loss but once."""
        shown = self._store.shown_losses(claim)
        for point in curve.evaluations():
            if point.tokens not in shown:
                self.report(claim, point)

    def lend(self, claim: Claim, number: int, values: dict[str, object]) -> None:
        """Give a trial the result of another one that was the same experiment."""
        stop = Stop(StopReason.COMPLETED, f"the same experiment as trial {number}; not paid twice")
        val_loss = values[attrs.VAL_LOSS]
        assert isinstance(val_loss, float), "completed trials have a validation loss"
        self._keep_begun(claim)
        # By the storage: the files may be on the machine where that trial was trained.
        for tokens, loss in self._store.trials()[number].intermediate_values.items():
            self._store.report(claim, tokens, loss)
        self._store.annotate(claim, {attrs.MANIFEST: values.get(attrs.MANIFEST)})
        self.end(claim, Result(stop, val_loss, 0, 0.0, same_as=number))

    def _keep_begun(self, claim: Claim) -> None:
        """What the trial was trained on before, if it was: nobody will go on from there."""
        own = trial_folder(self._store.spec, claim.number) / "curve.jsonl"
        if own.is_file():
            keep_lost(own.parent, read_curve(own).points, 0)

    def fail(self, claim: Claim, error: Exception) -> None:
        """End a trial by a defect, whose traceback is kept beside it."""
        if self._has_lost(claim):
            return
        folder = trial_folder(self._store.spec, claim.number)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "error.txt").write_text("".join(traceback.format_exception(error)))
        text = f"{type(error).__name__}: {error}"
        stop = Stop(StopReason.ERROR, text.splitlines()[0][:500])
        self.end(claim, failure(stop, newest_point(self._store.spec, claim.number)))

    def _has_lost(self, claim: Claim) -> bool:
        """Whether the trial is another worker's by now; then it is let go of.

        Not waited for while the storage's server is away: what is then said is kept, and dropped
        with the server back if the trial was another's before.
        """
        with self._store.unless_away():
            if not self._store.still_holds(claim):
                self._holding.drop(claim)
                return True
        return False

    def end(self, claim: Claim, result: Result) -> None:
        """Tell how a trial ended; without a baseline the other workers need not go on either."""
        if self._has_lost(claim):
            return
        self._deliver(claim)
        note_trial(self._store, claim, result)
        self._store.finish(claim, result)
        self._holding.drop(claim)
        if claim.is_baseline and result.stop.reason is StopReason.ERROR:
            self._stop_file.touch()
            raise WorkerError(
                "the baseline failed, so there is nothing to compare with: "
                f"{result.stop.evidence}. The whole story is in trials/{claim.number:04d}; mend "
                f"it, remove the folder {self._store.spec.output_folder.name}, and run it again"
            )

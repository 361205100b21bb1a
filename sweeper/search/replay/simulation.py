"""Runs a study over recorded curves: the real store, samplers and rules, and a clock of its own."""

from __future__ import annotations

import heapq
import math
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path

from optuna.pruners import BasePruner
from optuna.storages import InMemoryStorage

from sweeper.curves import Point, Stop, StopReason
from sweeper.search.audit import is_good
from sweeper.search.claim import Claim
from sweeper.search.monitor import Monitor
from sweeper.search.outcomes import Result
from sweeper.search.peers import peers_of
from sweeper.search.replay.arms import Arm
from sweeper.search.replay.bank import Bank, Run
from sweeper.search.store import StudyStore
from sweeper.study import StudySpec
from sweeper.training.course import Course


@dataclass(frozen=True)
class Ended:
    """A trial of a simulated study.

    Attributes:
        study_tokens: Tokens that the whole study had spent when it ended.
        tokens: Its own.
        reason: How it ended.
        final_val_loss: What the recorded run came to at its whole length, in nats.
    """

    study_tokens: int
    tokens: int
    reason: StopReason
    final_val_loss: float


@dataclass(frozen=True)
class Simulated:
    """A simulated study.

    Attributes:
        best_val_loss: The best of all runs that it could have found, in nats.
        full_tokens: Tokens of a whole trial.
        trials: In the order of their ends.
    """

    best_val_loss: float
    full_tokens: int
    trials: tuple[Ended, ...]

    def is_good(self, trial: Ended) -> bool:
        """Whether its run would have ended within a hundredth of the best."""
        return is_good(trial.final_val_loss, self.best_val_loss)

    @property
    def tokens_to_good(self) -> float:
        """Tokens spent until a good trial had completed; infinite where none did."""
        done = (t.study_tokens for t in self._completed() if self.is_good(t))
        return float(min(done, default=math.inf))

    def regret_at(self, tokens: int) -> float:
        """Best completed loss less the best of all, in nats, once so much was spent."""
        done = [t.final_val_loss for t in self._completed() if t.study_tokens <= tokens]
        return min(done, default=math.inf) - self.best_val_loss

    @property
    def pruned(self) -> tuple[Ended, ...]:
        """Trials that a rule ended, though their loss was a number."""
        others = (StopReason.COMPLETED, StopReason.NON_FINITE)
        return tuple(trial for trial in self.trials if trial.reason not in others)

    @property
    def saved_share(self) -> float:
        """Part of the tokens of all its trials that were not trained."""
        spent = sum(trial.tokens for trial in self.trials)
        return 1 - spent / (self.full_tokens * len(self.trials))

    def _completed(self) -> Iterator[Ended]:
        return (trial for trial in self.trials if trial.reason is StopReason.COMPLETED)


def simulate(
    spec: StudySpec, bank: Bank, arm: Arm, *, tokens: int, workers: int, seed: int
) -> Simulated:
    """Run a study over a bank until its tokens are spent.

    A worker's time passes as fast as the recorded run's; a trial meets its peers as they stand at
    that time. The same arguments give the same result.

    Args:
        spec: The study; its budget and rules give way to the bank's and the arm's.
        bank: Curves of its space.
        arm: Rules that end trials.
        tokens: That all trials together may spend.
        workers: Trials at a time, 1 or more.
        seed: Of the search; with which recorded seed it meets goes by it as well.

    Raises:
        UsageError: The study draws a recipe that the bank does not have.
    """
    bank = bank if arm.early else bank.even
    with tempfile.TemporaryDirectory() as folder:
        study = _study(spec, bank, arm, tokens=tokens, seed=seed).at(Path(folder) / "study.yaml")
        store = StudyStore(study, create=True, storage=InMemoryStorage())
        pruner = arm.pruner(bank) if arm.pruner else None
        recorded_seed = bank.seeds[seed % len(bank.seeds)]
        run = _Simulation(store, bank, pruner, recorded_seed)
        with warnings.catch_warnings():  # of pruners, about rungs that a trial leaps over
            warnings.simplefilter("ignore", UserWarning)
            run.go(workers)
        return Simulated(bank.best_val_loss(recorded_seed), bank.tokens_per_trial, tuple(run.ended))


def _study(spec: StudySpec, bank: Bank, arm: Arm, *, tokens: int, seed: int) -> StudySpec:
    most_trials = 20 * math.ceil(tokens / bank.tokens_per_trial)
    budget = {
        "trials": most_trials,
        "tokens_per_trial": bank.tokens_per_trial,
        "tokens": tokens,
        "wall_clock_s": None,
    }
    return spec.model_copy(
        update={
            "seed": seed,
            "budget": spec.budget.model_copy(update=budget),
            "evaluate": spec.evaluate.model_copy(update=asdict(bank.rungs)),
            "prune": arm.prune,
            "hypotheses": (),  # no rule may end them, so they tell none from another
            "storage": "default",
            "output": None,
        }
    )


@dataclass(order=True)
class _Event:
    """A trial comes to a rung, at which its loss is shown and judged, or to its end before one.

    Attributes:
        at_s: When.
        order: Of equal times, who comes first.
        trial: Which.
        point: Its newest point.
        stop: Why it ends here; None at a rung.
    """

    at_s: float
    order: int
    trial: _Trial = field(compare=False)
    point: Point = field(compare=False)
    stop: Stop | None = field(compare=False)


@dataclass
class _Trial:
    """A trial under way: what is left of its points, and when its worker took it."""

    claim: Claim
    run: Run
    monitor: Monitor
    began_s: float
    points: Iterator[Point]


class _Simulation:
    def __init__(
        self, store: StudyStore, bank: Bank, pruner: BasePruner | None, recorded_seed: int
    ) -> None:
        self.ended: list[Ended] = []
        self._store = store
        self._bank = bank
        self._pruner = pruner
        self._seed = recorded_seed
        self._events: list[_Event] = []
        self._order = count()
        self._spent = 0

    def go(self, workers: int) -> None:
        """Work through the study."""
        for _ in range(workers):
            self._take(0.0)
        while self._events:
            event = heapq.heappop(self._events)
            self._meet(event)

    def _take(self, now_s: float) -> None:
        """A worker takes its next trial, if there is one."""
        for event in self._events:  # leases go by the real clock, which may be slow here
            self._store.renew(event.trial.claim)
        while (claim := self._store.claim("simulated")) is not None:
            same = self._store.same_experiment(claim)
            if same is None:
                self._begin(claim, now_s)
                return
            stop = Stop(StopReason.COMPLETED, "the same experiment")
            loss = same.user_attrs["val_loss"]
            self._store.finish(claim, Result(stop, loss, 0, 0.0, same_as=same.number))

    def _begin(self, claim: Claim, now_s: float) -> None:
        spec = self._store.spec
        run = self._bank.find(claim.hyperparameters, self._seed)
        monitor = Monitor(
            hyperparameters=run.hyperparameters,
            course=Course.of(run.hyperparameters, self._bank.tokens_per_trial, self._bank.rungs),
            prune=spec.prune,
            peers=peers_of(self._store, claim),
            protected=claim.is_protected,
        )
        trial = _Trial(claim, run, monitor, now_s, iter(run.curve.points))
        self._advance(trial)

    def _advance(self, trial: _Trial) -> None:
        """To the next rung; what happens before it hangs on no other trial."""
        for point in trial.points:
            stop = None if point.val_loss is not None else trial.monitor.update(point)
            if point.val_loss is not None or stop is not None:
                at_s = trial.began_s + (point.seconds or 0.0)
                event = _Event(at_s, next(self._order), trial, point, stop)
                heapq.heappush(self._events, event)
                return
        raise AssertionError("a recorded run ends at a rung, or with a loss that is no number")

    def _meet(self, event: _Event) -> None:
        trial, point = event.trial, event.point
        if event.stop is not None:
            self._end(trial, point, event.stop)
            return
        loss = point.val_loss
        if loss is not None and math.isfinite(loss):
            self._store.report(trial.claim, self._axis(point), loss)
        stop = trial.monitor.update(point)
        if stop is None and point.tokens >= trial.monitor.course.total_tokens:
            stop = Stop(StopReason.COMPLETED, "to the end")
        if stop is None and self._pruner is not None and not trial.claim.is_protected:
            frozen = self._store.storage.get_trial(trial.claim.trial_id)
            if self._pruner.prune(self._store.study, frozen):
                stop = Stop(StopReason.PEERS, "by Optuna's pruner")
        if stop is None:
            self._advance(trial)
        else:
            self._end(trial, point, stop)

    def _axis(self, point: Point) -> int:
        """Where a loss is reported: the tokens, or for Optuna's pruners those of the nearest rung.

        These compare what was reported at one and the same number, as in all their examples.
        """
        if self._pruner is None:
            return point.tokens
        rungs = (0, *self._bank.rungs.within(self._bank.tokens_per_trial))
        return min(rungs, key=lambda rung: abs(rung - point.tokens))

    def _end(self, trial: _Trial, last: Point, stop: Stop) -> None:
        losses = [p.val_loss for p in trial.run.curve.points if p.tokens <= last.tokens]
        finite = [loss for loss in losses if loss is not None and math.isfinite(loss)]
        result = Result(
            stop=stop,
            val_loss=finite[-1] if finite else None,
            tokens=last.tokens,
            seconds=last.seconds or 0.0,
            best_val_loss=trial.monitor.peers.best_val_loss(),
        )
        self._store.finish(trial.claim, result)
        self._spent += last.tokens
        self.ended.append(Ended(self._spent, last.tokens, stop.reason, trial.run.final_val_loss))
        self._take(trial.began_s + (last.seconds or 0.0))

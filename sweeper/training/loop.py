"""The training loop: one for every engine, study, reproduction and single run.

A run is a generator: it asks for a step or an evaluation, waits for the answer, and returns
how it ended. So whoever answers can let several runs take their steps together.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, TypeVar

from sweeper.curves import Curve, Point, Stop, StopReason, point_to_json, read_curve, write_curve
from sweeper.data import Blocks, Tokens, training_blocks
from sweeper.errors import CheckpointError
from sweeper.files import sync_file
from sweeper.study import Hyperparameters
from sweeper.study.schedule import learning_rate_at
from sweeper.training.checkpoint import CheckpointFolder, Progress
from sweeper.training.course import Course
from sweeper.training.engine import Batch, Engine, Gradient, SeatOutOfMemory
from sweeper.training.lost import keep_lost
from sweeper.training.outcome import Outcome
from sweeper.training.watches import Watch

_START_AGAIN = "remove this folder to train the trial from its start"
CHECKPOINT_SECONDS = 60.0  # at most this much work is lost to a kill between two rungs


class Step(NamedTuple):
    """A run asks for one optimizer step. The answer is `Stepped`, or `SeatOutOfMemory` thrown.

    Attributes:
        batch: What to learn from.
        learning_rate: For the update.
    """

    batch: Batch
    learning_rate: float


class Evaluate(NamedTuple):
    """A run asks for its adapter's loss on these blocks.

    The answer is a float, in nats, or `SeatOutOfMemory` thrown.
    """

    blocks: Blocks


class Stepped(NamedTuple):
    """A step that was taken.

    Attributes:
        gradient: What it was taken with.
        seconds: What the run is charged for it.
    """

    gradient: Gradient
    seconds: float


Result = TypeVar("Result")
Asking = Generator[Step | Evaluate, Stepped | float, Result]


@dataclass(frozen=True)
class Run:
    """All that the loop needs to train one recipe.

    Attributes:
        hyperparameters: Resolved: a seed, and a precision other than `auto`.
        course: Its steps and rungs.
        stream: Training tokens, in the order of the run's seed.
        validation: The one validation set of the study.
        folder: Gets `curve.jsonl` and `checkpoint/`.
    """

    hyperparameters: Hyperparameters
    course: Course
    stream: Tokens
    validation: Blocks
    folder: Path

    @property
    def seed(self) -> int:
        """The recipe's resolved seed."""
        assert self.hyperparameters.seed is not None, "the plan resolves the seed"
        return self.hyperparameters.seed


COMPLETED = Stop(StopReason.COMPLETED, "the whole budget was trained")


def train(
    run: Run, engine: Engine, watch: Watch, interrupt: Callable[[], Stop | None]
) -> Asking[Outcome]:
    """Train a recipe to its end, resuming from its newest checkpoint if it has one.

    The engine must have been started with the run's recipe.

    Args:
        run: What to train.
        engine: The seat that trains it; its state is kept and restored here, while its
            steps and evaluations are asked for.
        watch: Sees every point; what it returns ends the run.
        interrupt: Asked after every step; what it returns ends the run after a
            checkpoint.

    Raises:
        CheckpointError: The run's checkpoints or its curve are damaged.
        OSError: The folder cannot be written (disk full, read-only).
    """
    return _Training(run, engine, watch, interrupt).train()


class _Training:
    def __init__(
        self, run: Run, engine: Engine, watch: Watch, interrupt: Callable[[], Stop | None]
    ) -> None:
        self._run = run
        self._engine = engine
        self._watch = watch
        self._interrupt = interrupt
        self._notes: list[str] = []
        self._checkpoints = CheckpointFolder(run.folder / "checkpoint", self._notes.append)
        self._points: list[Point] = []
        self._step = 0
        self._seconds = 0.0
        self._micro_batch = run.hyperparameters.batch_size
        self._spike_start_step: int | None = None

    def train(self) -> Asking[Outcome]:
        stop = None
        if self._checkpoints.steps():
            self._resume()
        else:
            stop = yield from self._begin()
        self._saved_at = time.monotonic()
        with (self._run.folder / "curve.jsonl").open("a", encoding="utf-8") as self._log:
            while stop is None and self._step < self._run.course.total_steps:
                stop = yield from self._advance()
        if stop is None:
            stop = COMPLETED
        return Outcome(stop, Curve(tuple(self._points)), self._micro_batch, tuple(self._notes))

    def _begin(self) -> Asking[Stop | None]:
        """Step 0: the base as it is, which every curve starts from."""
        point = Point(step=0, tokens=0, val_loss=(yield from self._evaluate()), seconds=0.0)
        self._points = [point]
        write_curve(self._run.folder / "curve.jsonl", self._points)
        self._save(point)
        return self._watch.update(point)

    def _resume(self) -> None:
        """Continue from the newest checkpoint; the watch sees the old points again."""
        progress, tensors = self._checkpoints.load()
        self._engine.load_state(tensors)
        path = self._run.folder / "curve.jsonl"
        if not path.is_file():
            raise CheckpointError(f"{path}: missing; {_START_AGAIN}")
        found = read_curve(path).points
        self._points = list(found[: progress.curve_points])
        if len(self._points) < progress.curve_points:
            raise CheckpointError(
                f"{path}: ends before its checkpoint of step {progress.step}; {_START_AGAIN}"
            )
        keep_lost(self._run.folder, found, len(self._points))
        write_curve(path, self._points)
        self._step, self._seconds = progress.step, progress.seconds
        if progress.micro_batch < self._micro_batch:
            self._micro_batch = progress.micro_batch
            self._notes.append(
                f"micro-batch {self._micro_batch}: memory ran out before step {self._step}"
            )
        for point in self._points:
            self._watch.replay(point)
        self._spike_start_step = self._watch.spike_start_step

    def _advance(self) -> Asking[Stop | None]:
        """One optimizer step, and what follows from it."""
        rate = learning_rate_at(self._step, self._run.course.total_steps, self._run.hyperparameters)
        try:
            stepped = yield from self._take_step(rate)
        except SeatOutOfMemory:
            return Stop(
                StopReason.OUT_OF_MEMORY,
                f"at step {self._step}: not even one block of "
                f"{self._run.course.block_size} tokens fits",
            )
        self._seconds += stepped.seconds
        self._step += 1
        point = yield from self._point(stepped.gradient, rate)
        stop = self._watch.update(point)
        if stop is not None and stop.reason is not StopReason.NON_FINITE:
            point = yield from self._with_val_loss(point)
        self._record(point)
        self._mark_spike()
        return self._checkpoint(point, stop)

    def _take_step(self, rate: float) -> Asking[Stepped]:
        """A step at a rate, with micro-batches halved until they fit."""
        first, num_blocks = self._run.course.blocks_of(self._step)
        block_size = self._run.course.block_size
        blocks = training_blocks(
            self._run.stream,
            start_tokens=first * block_size,
            num_blocks=num_blocks,
            block_size=block_size,
        )
        while True:
            try:
                stepped = yield Step(Batch(blocks, self._micro_batch), rate)
            except SeatOutOfMemory:
                if self._micro_batch == 1:
                    raise
                self._halve_micro_batch()
            else:
                assert isinstance(stepped, Stepped), "a step is answered by what it was"
                return stepped

    def _halve_micro_batch(self) -> None:
        whole = self._micro_batch
        self._micro_batch = whole // 2
        self._notes.append(
            f"out of memory at step {self._step}: micro-batch {whole} -> {self._micro_batch}, "
            "accumulation raised to match, same effective batch"
        )

    def _point(self, gradient: Gradient, rate: float) -> Asking[Point]:
        rung = self._run.course.is_rung(self._step) and math.isfinite(gradient.grad_norm)
        return Point(
            step=self._step,
            tokens=self._run.course.tokens_after(self._step),
            train_loss=gradient.train_loss,
            val_loss=(yield from self._evaluate()) if rung else None,
            learning_rate=rate,
            grad_norm=gradient.grad_norm,
            seconds=self._seconds,
        )

    def _with_val_loss(self, point: Point) -> Asking[Point]:
        """A run that ends between two rungs is measured once more, where it ends."""
        if point.val_loss is not None:
            return point
        return replace(point, val_loss=(yield from self._evaluate()))

    def _record(self, point: Point) -> None:
        self._points.append(point)
        self._log.write(point_to_json(point) + "\n")
        self._log.flush()

    def _evaluate(self) -> Asking[float]:
        try:
            loss = yield Evaluate(self._run.validation)
        except SeatOutOfMemory as error:
            raise MemoryError(
                f"at step {self._step}: no evaluation fits into the memory"
            ) from error
        assert isinstance(loss, float), "an evaluation is answered by its loss"
        return loss

    def _mark_spike(self) -> None:
        """Keep the checkpoint from before a spike by name for as long as the spike lasts."""
        start_step = self._watch.spike_start_step
        if start_step is not None:
            self._checkpoints.mark_spike(start_step)
        elif self._spike_start_step is not None:
            self._checkpoints.clear_marks()
        self._spike_start_step = start_step

    def _checkpoint(self, point: Point, stop: Stop | None) -> Stop | None:
        """Save where it is due; a run that its watch ended needs no more checkpoints."""
        at_end = self._step == self._run.course.total_steps
        interrupted = self._interrupt() if stop is None and not at_end else None
        due = time.monotonic() - self._saved_at > CHECKPOINT_SECONDS
        if stop is None and (point.val_loss is not None or interrupted or due):
            self._save(point)
            self._mark_spike()
        return stop or interrupted

    def _save(self, point: Point) -> None:
        progress = Progress(
            self._step, point.tokens, self._seconds, self._micro_batch, len(self._points)
        )
        # A checkpoint on the disk whose curve is not would be of no use after a power cut.
        sync_file(self._run.folder / "curve.jsonl")
        self._checkpoints.save(progress, self._engine.state())
        self._saved_at = time.monotonic()

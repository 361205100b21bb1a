"""Takes the steps around a spike again: as they were, and with one thing changed at a time.

From the newest checkpoint that is early enough, or from the start, the run is trained as it was up
to the branch, a few steps before the spike. Every experiment goes on from that very state, through
the one training loop.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from sweeper.curves import Curve, Point, Stop, StopReason, read_curve, write_curve
from sweeper.curves.spike import SpikeDetector, SpikeSettings
from sweeper.data import Tokens
from sweeper.diagnosis.readings import gradient_jump
from sweeper.errors import CheckpointError, SweeperError, UsageError
from sweeper.study import Hyperparameters, with_changes
from sweeper.training.batch_reader import BatchReader
from sweeper.training.checkpoint import CheckpointFolder, Progress
from sweeper.training.course import Course
from sweeper.training.device import find_device, use_deterministic_kernels
from sweeper.training.engine import Engine
from sweeper.training.examination import (
    EXAMINATION_FILE,
    Change,
    Examination,
    Experiment,
    SpikeCause,
    decide,
)
from sweeper.training.fingerprints import take_fingerprints
from sweeper.training.loop import Run, train
from sweeper.training.manifest import (
    Manifest,
    ground_differences,
    read_manifest,
)
from sweeper.training.manifest_file import write_json
from sweeper.training.onset import find_onset, height_over
from sweeper.training.outcome import Outcome
from sweeper.training.pack import train_alone
from sweeper.training.packs import new_pack
from sweeper.training.record import is_command
from sweeper.training.suspects import find_suspects
from sweeper.training.trainer import Report
from sweeper.training.trial import course_of, seed_of
from sweeper.training.watches import Lookout, Shown, Watch
from sweeper.training.workbench import Workbench, set_up

LEAD_STEPS = 4  # taken otherwise before the suspected ones, so that a rate has time to matter
AFTER_STEPS = 12  # watched after the onset: a spike that is only put off counts as still there
_HERE = Stop(StopReason.COMPLETED, "as far as it is wanted")
_AGAIN = "taking the steps around the spike again"


@dataclass(frozen=True)
class _State:
    """A run at one step: all that the next step depends on."""

    progress: Progress
    tensors: dict[str, torch.Tensor]
    curve: Curve


def examine_spike(
    folder: Path, *, sigmas: float = SpikeSettings().sigmas, report: Report = lambda *_: None
) -> Examination:
    """Find out by experiment what a trial's spike is due to, and keep it in the trial's folder.

    Args:
        folder: Of the trial, with manifest and curve.
        sigmas: As the study's rule for spikes has it.
        report: Told how far it is.

    Raises:
        UsageError: The training loss shows no spike, or a command trained the trial.
        CheckpointError: The folder's files are damaged, or base or corpus are others by now.
        SweeperError: Base or corpus cannot be used any more, or the steps do not fit in memory.
    """
    if is_command(folder / "manifest.json"):
        raise UsageError("a command's batches and checkpoints are its own; nothing can be replayed")
    manifest = read_manifest(folder / "manifest.json")
    curve = read_curve(folder / "curve.jsonl")
    find_onset(curve, sigmas)  # before anything is loaded
    plan = manifest.plan
    bench = set_up(plan.ground(folder), find_device(plan.threads, plan.device), report)
    _check_same_ground(manifest, bench)
    use_deterministic_kernels()
    engine = new_pack(plan.engine, bench).seats[0]
    with tempfile.TemporaryDirectory(prefix=".spike-", dir=folder) as stage:
        replay = _Replay(folder, Path(stage), manifest, curve, bench, engine, sigmas)
        examination = replay.examine(report)
    write_json(folder / EXAMINATION_FILE, examination)
    return examination


def _check_same_ground(manifest: Manifest, bench: Workbench) -> None:
    now = take_fingerprints(bench, seed_of(manifest.plan))
    if changed := ground_differences(manifest.fingerprints, now):
        raise CheckpointError(f"the trial was trained on something else ({'; '.join(changed)})")


class _Replay:
    """The experiments on one trial, on one engine."""

    def __init__(
        self,
        folder: Path,
        stage: Path,
        manifest: Manifest,
        curve: Curve,
        bench: Workbench,
        engine: Engine,
        sigmas: float,
    ) -> None:
        self._folder, self._stage = folder, stage
        self._manifest, self._curve = manifest, curve
        self._bench, self._engine = bench, engine
        self._recipe = manifest.plan.hyperparameters
        self._seed = seed_of(manifest.plan)
        self._course: Course = course_of(manifest.plan)
        self._stream = bench.stream(self._seed)
        self._reader = BatchReader(engine, self._course, self._stream)
        self._spike = find_onset(curve, sigmas)
        onset = self._spike.start_step
        self._branch_step = max(onset - 1 - LEAD_STEPS, 0)
        self._end_step = min(onset + AFTER_STEPS, self._course.total_steps)
        self._suspects = find_suspects(
            self._course,
            self._stream,
            onset_step=onset,
            after_step=self._branch_step,
            end_step=self._end_step,
        )

    def examine(self, report: Report) -> Examination:
        """Run all experiments and look at the batches."""
        kept = CheckpointFolder(self._folder / "checkpoint").load_until(self._branch_step)
        branch = self._reach_branch(kept, report)
        tasks = list(self._variants(branch))
        experiments, unchanged = [], Curve()
        for number, (change, recipe, stream, state) in enumerate(tasks):
            report(_AGAIN, number, len(tasks))
            outcome = self._train(recipe, stream, state)
            if change is Change.NOTHING:
                unchanged = outcome.curve
            experiments.append(self._experiment(change, outcome))
        if decide(experiments).cause is SpikeCause.NONE:
            change, recipe = self._at_share_of_rate(Change.HUNDREDTH_RATE, 100)
            outcome = self._train(recipe, self._stream, branch)
            experiments.append(self._experiment(change, outcome))
        report(_AGAIN, len(tasks), len(tasks))
        self._engine.start(self._recipe, self._seed)
        try:
            self._engine.load_state(branch.tensors)
            checkpoint_step = kept[0].step if kept else 0
            return self._record(experiments, checkpoint_step, self._repeats(unchanged))
        finally:
            self._engine.finish()

    def _reach_branch(
        self, kept: tuple[Progress, dict[str, torch.Tensor]] | None, report: Report
    ) -> _State:
        """Train as it was up to the branch, from the newest checkpoint before it."""
        start = None
        if kept is not None:
            progress, tensors = kept
            points = Curve(self._curve.points[: progress.curve_points])
            start = _State(progress, tensors, points)
            if progress.step == self._branch_step:
                return start
        watch = Shown(
            Lookout((self._branch_step, _HERE)),
            lambda point: report("training up to the spike", point.step, self._branch_step),
        )
        self._engine.start(self._recipe, self._seed)
        try:
            outcome = self._run(self._recipe, self._stream, start, watch)
            tensors = self._engine.state()
        finally:
            self._engine.finish()
        last = outcome.curve.points[-1]
        progress = Progress(
            last.step,
            last.tokens,
            last.seconds or 0.0,
            outcome.micro_batch,
            len(outcome.curve.points),
        )
        return _State(progress, tensors, outcome.curve)

    def _variants(self, branch: _State) -> Iterator[tuple[Change, Hyperparameters, Tokens, _State]]:
        """What each experiment trains with."""
        recipe, stream = self._recipe, self._stream
        yield Change.NOTHING, recipe, stream, branch
        for other in self._suspects.stand_ins:
            yield Change.BATCH, recipe, other, branch
        yield *self._at_share_of_rate(Change.HALF_RATE, 2), stream, branch
        yield *self._at_share_of_rate(Change.TENTH_RATE, 10), stream, branch
        if branch.progress.step:  # before the first step there are none to be forgotten
            yield Change.MOMENTS, recipe, stream, self._forgetful(branch)

    def _at_share_of_rate(self, change: Change, divisor: int) -> tuple[Change, Hyperparameters]:
        rate = self._recipe.learning_rate / divisor
        return change, with_changes(self._recipe, {"learning_rate": rate})

    def _forgetful(self, state: _State) -> _State:
        """The state with the optimizer's part as it is before any step."""
        self._engine.start(self._recipe, self._seed)
        try:
            fresh = self._engine.state()
        finally:
            self._engine.finish()
        kept = {n: t for n, t in state.tensors.items() if not n.startswith("moment/")}
        blank = {n: t for n, t in fresh.items() if n.startswith("moment/")}
        return replace(state, tensors=kept | blank)

    def _train(self, recipe: Hyperparameters, stream: Tokens, state: _State) -> Outcome:
        self._engine.start(recipe, self._seed)
        try:
            return self._run(recipe, stream, state, Lookout((self._end_step, _HERE)))
        finally:
            self._engine.finish()

    def _run(
        self, recipe: Hyperparameters, stream: Tokens, state: _State | None, watch: Watch
    ) -> Outcome:
        """Train on the started engine from a state, or from the start, to where the watch ends it.

        Raises:
            SweeperError: Not even one block fits in memory.
        """
        with tempfile.TemporaryDirectory(dir=self._stage) as name:
            folder = Path(name)
            if state is not None:
                write_curve(folder / "curve.jsonl", state.curve.points)
                CheckpointFolder(folder / "checkpoint").save(state.progress, state.tensors)
            run = Run(recipe, self._course, stream, self._bench.validation, folder)
            outcome = train_alone(self._engine, train(run, self._engine, watch, lambda: None))
        if outcome.stop.reason is StopReason.OUT_OF_MEMORY:
            raise SweeperError(f"the steps cannot be taken again here: {outcome.stop.evidence}")
        return outcome

    def _experiment(self, change: Change, outcome: Outcome) -> Experiment:
        after = [point for point in outcome.curve if point.step > self._branch_step]
        losses = tuple(point.train_loss for point in after)
        is_broken = outcome.stop.reason is StopReason.NON_FINITE  # maybe of the gradient alone
        return Experiment(
            change=change,
            first_step=self._branch_step + 1,
            train_losses=losses,
            height=math.inf if is_broken else height_over(self._spike, losses),
            val_loss=next((p.val_loss for p in reversed(after) if p.val_loss is not None), None),
        )

    def _record(
        self, experiments: list[Experiment], checkpoint_step: int, repeats_exactly: bool
    ) -> Examination:
        """All that was found; the engine is in the state at the branch."""
        jump = gradient_jump(self._curve, SpikeDetector().finding(self._spike))
        onset = next(point for point in self._curve if point.step == self._spike.start_step)
        assert onset.learning_rate is not None, "our own runs record it"
        batches = self._reader.read_suspects(self._suspects)
        decision = decide(experiments)
        return Examination(
            trial=self._manifest.trial,
            onset_step=onset.step,
            recorded_height=self._spike.height,
            learning_rate=onset.learning_rate,
            checkpoint_step=checkpoint_step,
            branch_step=self._branch_step,
            repeats_exactly=repeats_exactly,
            usual_grad_norm=jump.usual if jump else None,
            onset_grad_norm=onset.grad_norm,
            peak_grad_norm=jump.peak if jump else None,
            peak_grad_norm_step=jump.peak_step if jump else None,
            val_loss_before=self._engine.evaluate(self._bench.validation),
            batch_losses=batches.losses,
            other_batch_losses=batches.other_losses,
            documents=batches.documents,
            other_document_losses=batches.other_document_losses,
            replaced_until_step=self._suspects.last_step,
            experiments=tuple(experiments),
            cause=decision.cause,
            evidence=decision.evidence,
        )

    def _repeats(self, unchanged: Curve) -> bool:
        recorded = {point.step: _as_written(point) for point in self._curve}
        return all(recorded.get(p.step, _as_written(p)) == _as_written(p) for p in unchanged)


def _as_written(point: Point) -> str:
    """What a step computed; in words, as a loss that is no number does not equal itself."""
    return f"{point.train_loss} {point.grad_norm}"

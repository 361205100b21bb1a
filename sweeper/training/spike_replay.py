"""Takes the steps around a spike again: as they were, and with one thing changed at a time.

From the newest checkpoint that is early enough, or from the start, the run is trained as it was up
to the branch, a few steps before the spike. Every experiment goes on from that very state, through
the one training loop. The suspected batches are that of the onset, whose loss was high, and the one
before, whose update led there; those that stand in for them lie beyond what the run has read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import torch

from sweeper.curves import Curve, Stop, StopReason, read_curve, write_curve
from sweeper.curves.spike import SpikeDetector, SpikeSettings
from sweeper.data import Detour, Tokens
from sweeper.diagnosis.readings import gradient_jump
from sweeper.errors import CheckpointError, UsageError
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
    decide,
    find_onset,
    height_over,
)
from sweeper.training.loop import Run, train
from sweeper.training.manifest import (
    Manifest,
    fingerprint_differences,
    read_manifest,
    take_fingerprints,
)
from sweeper.training.manifest_file import write_json
from sweeper.training.outcome import Outcome
from sweeper.training.pack import train_alone
from sweeper.training.packs import new_pack
from sweeper.training.record import is_command
from sweeper.training.trainer import Report
from sweeper.training.trial import course_of, seed_of
from sweeper.training.watches import Lookout
from sweeper.training.workbench import Workbench, set_up

NUM_OTHER_BATCHES = 5  # so that one lucky batch does not decide
LEAD_STEPS = 4  # taken otherwise before the suspected ones, so that a rate has time to matter
AFTER_STEPS = 12  # watched after the onset: a spike that is only put off counts as still there
_HERE = Stop(StopReason.COMPLETED, "as far as it is wanted")


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
        SweeperError: Base or corpus cannot be used any more.
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
    changed = [
        line
        for line in fingerprint_differences(manifest.fingerprints, now)
        if line.startswith(("base:", "corpus:", "stream:"))
    ]
    if changed:
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
        self._suspects = tuple(step for step in (onset - 1, onset) if step > self._branch_step)

    def examine(self, report: Report) -> Examination:
        """Run all experiments and look at the batches."""
        kept = CheckpointFolder(self._folder / "checkpoint").load_until(self._branch_step)
        branch = self._reach_branch(kept)
        tasks = list(self._variants(branch))
        experiments, unchanged = [], Curve()
        for number, (change, recipe, stream, state) in enumerate(tasks):
            report("taking the steps around the spike again", number, len(tasks))
            outcome = self._train(f"{number}", recipe, stream, state, self._end_step)
            if change is Change.NOTHING:
                unchanged = outcome.curve
            experiments.append(self._experiment(change, outcome))
        report("taking the steps around the spike again", len(tasks), len(tasks))
        self._engine.start(self._recipe, self._seed)
        try:
            self._engine.load_state(branch.tensors)
            checkpoint_step = kept[0].step if kept else 0
            return self._record(experiments, checkpoint_step, self._repeats(unchanged))
        finally:
            self._engine.finish()

    def _reach_branch(self, kept: tuple[Progress, dict[str, torch.Tensor]] | None) -> _State:
        """Train as it was up to the branch, from the newest checkpoint before it."""
        start = None
        if kept is not None:
            progress, tensors = kept
            points = Curve(self._curve.points[: progress.curve_points])
            start = _State(progress, tensors, points)
            if progress.step == self._branch_step:
                return start
        self._engine.start(self._recipe, self._seed)
        try:
            outcome = self._run("lead", self._recipe, self._stream, start, self._branch_step)
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
        rate, recipe, stream = self._recipe.learning_rate, self._recipe, self._stream
        yield Change.NOTHING, recipe, stream, branch
        for other in self._other_streams():
            yield Change.BATCH, recipe, other, branch
        yield Change.HALF_RATE, with_changes(recipe, {"learning_rate": rate / 2}), stream, branch
        yield Change.TENTH_RATE, with_changes(recipe, {"learning_rate": rate / 10}), stream, branch
        if branch.progress.step:  # before the first step there are none to be forgotten
            yield Change.MOMENTS, recipe, stream, self._forgetful(branch)

    def _other_streams(self) -> Iterator[Detour]:
        """Streams in which the suspected steps read what lies beyond the run's end."""
        start = self._course.tokens_after(self._suspects[0] - 1)
        end = self._course.tokens_after(self._suspects[-1])
        for number in range(NUM_OTHER_BATCHES):
            beyond = self._course.total_tokens + number * (end - start)
            yield Detour(self._stream, start, end, beyond - start)

    def _forgetful(self, state: _State) -> _State:
        """The state with the optimizer's part as it is before any step."""
        self._engine.start(self._recipe, self._seed)
        fresh = self._engine.state()
        self._engine.finish()
        kept = {n: t for n, t in state.tensors.items() if not n.startswith("moment/")}
        blank = {n: t for n, t in fresh.items() if n.startswith("moment/")}
        return replace(state, tensors=kept | blank)

    def _train(
        self, name: str, recipe: Hyperparameters, stream: Tokens, state: _State, end_step: int
    ) -> Outcome:
        self._engine.start(recipe, self._seed)
        try:
            return self._run(name, recipe, stream, state, end_step)
        finally:
            self._engine.finish()

    def _run(
        self,
        name: str,
        recipe: Hyperparameters,
        stream: Tokens,
        state: _State | None,
        end_step: int,
    ) -> Outcome:
        """Train on the started engine from a state, or from the start, up to a step."""
        folder = self._stage / name
        folder.mkdir()
        if state is not None:
            write_curve(folder / "curve.jsonl", state.curve.points)
            CheckpointFolder(folder / "checkpoint").save(state.progress, state.tensors)
        run = Run(recipe, self._course, stream, self._bench.validation, folder)
        watch = Lookout((end_step, _HERE))
        return train_alone(self._engine, train(run, self._engine, watch, lambda: None))

    def _experiment(self, change: Change, outcome: Outcome) -> Experiment:
        after = [point for point in outcome.curve if point.step > self._branch_step]
        losses = tuple(p.train_loss for p in after if p.train_loss is not None)
        return Experiment(
            change=change,
            first_step=self._branch_step + 1,
            train_losses=losses,
            height=height_over(self._spike, losses),
            val_loss=next((p.val_loss for p in reversed(after) if p.val_loss is not None), None),
        )

    def _record(
        self, experiments: list[Experiment], checkpoint_step: int, repeats_exactly: bool
    ) -> Examination:
        """All that was found; the engine is in the state at the branch."""
        jump = gradient_jump(self._curve, SpikeDetector().finding(self._spike))
        onset = next(point for point in self._curve if point.step == self._spike.start_step)
        assert onset.learning_rate is not None, "our own runs record it"
        suspected = [self._reader.read(self._stream, step) for step in self._suspects]
        others = [
            self._reader.read(other, step)
            for other in self._other_streams()
            for step in self._suspects
        ]
        documents = [document for batch in suspected for document in batch.documents]
        other_losses = [document.loss for batch in others for document in batch.documents]
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
            batch_losses=tuple(batch.loss for batch in suspected),
            other_batch_losses=tuple(batch.loss for batch in others),
            documents=tuple(sorted(documents, key=lambda document: -document.loss)),
            other_document_losses=(median(other_losses), max(other_losses)),
            experiments=tuple(experiments),
            cause=decision.cause,
            evidence=decision.evidence,
        )

    def _repeats(self, unchanged: Curve) -> bool:
        recorded = {point.step: point.train_loss for point in self._curve}
        return all(
            point.train_loss == recorded.get(point.step, point.train_loss) for point in unchanged
        )

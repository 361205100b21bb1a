"""One recipe from its plan to its adapter: what a study's trial, `train` and `reproduce` share."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from sweeper.curves import Stop, StopReason
from sweeper.errors import CheckpointError
from sweeper.study import Hyperparameters, with_changes
from sweeper.training.checkpoint import CheckpointFolder
from sweeper.training.course import Course
from sweeper.training.device import use_deterministic_kernels
from sweeper.training.engine import Engine
from sweeper.training.fingerprints import take_fingerprints
from sweeper.training.loop import Asking, Run, train
from sweeper.training.manifest import (
    EngineName,
    Manifest,
    RunPlan,
    RunResult,
    ground_differences,
    hash_files,
    moved,
    read_manifest,
    write_manifest,
)
from sweeper.training.outcome import Outcome
from sweeper.training.pack import train_alone
from sweeper.training.precision import precision_on
from sweeper.training.watches import Watch
from sweeper.training.workbench import Workbench


def plan_run(
    bench: Workbench,
    hyperparameters: Hyperparameters,
    tokens: int,
    folder: Path,
    *,
    engine: EngineName = "peft",
    slots: int = 1,
) -> RunPlan:
    """The plan of a recipe on a workbench, with paths as seen from `folder`.

    Args:
        bench: Where it will run.
        hyperparameters: With a seed; a precision of `auto` is resolved here, and to the begun
            run's where the folder holds one to go on with.
        tokens: The run's budget.
        folder: Where the manifest will lie.
        engine: `packed` or `peft`.
        slots: Trials that are trained at a time.
    """
    ground = bench.ground
    choice = None
    if hyperparameters.precision == "auto":
        begun = begun_plan(folder)
        if begun is None:
            choice = precision_on(bench)
            precision = choice.precision
        else:  # whose choice is None under a version that did not keep it
            choice, precision = begun.precision, begun.hyperparameters.precision
        hyperparameters = with_changes(hyperparameters, {"precision": precision})
    return RunPlan(
        model=moved(ground.model, ground.folder, folder),
        data=ground.data.model_copy(
            update={"train": moved(ground.data.train, ground.folder, folder)}
        ),
        evaluate=ground.evaluate,
        split_seed=ground.seed,
        tokens=tokens,
        hyperparameters=hyperparameters,
        device=bench.device.kind,
        threads=bench.device.threads,
        engine=engine,
        slots=slots,
        precision=choice,
    )


def begun_plan(folder: Path) -> RunPlan | None:
    """The plan of a run in a folder that can be gone on with; None where there is none."""
    path = folder / "manifest.json"
    if not CheckpointFolder(folder / "checkpoint").steps() or not path.is_file():
        return None
    return read_manifest(path).plan


def seed_of(plan: RunPlan) -> int:
    """The plan's seed; `plan_run` is not given recipes without one."""
    seed = plan.hyperparameters.seed
    assert seed is not None, "plans have a seed"
    return seed


def course_of(plan: RunPlan) -> Course:
    """The plan's steps and rungs."""
    return Course.of(plan.hyperparameters, plan.tokens, plan.evaluate.rungs)


def run_plan(
    plan: RunPlan,
    bench: Workbench,
    engine: Engine,
    watch: Watch,
    interrupt: Callable[[], Stop | None],
    folder: Path,
    trial: int | None = None,
) -> Outcome:
    """Train a plan by itself: `trial_steps` with nobody beside it."""
    return train_alone(engine, trial_steps(plan, bench, engine, watch, interrupt, folder, trial))


def trial_steps(
    plan: RunPlan,
    bench: Workbench,
    engine: Engine,
    watch: Watch,
    interrupt: Callable[[], Stop | None],
    folder: Path,
    trial: int | None = None,
) -> Asking[Outcome]:
    """Train a plan in a folder, resuming what an interrupted run left there.

    Leaves `manifest.json`, `curve.jsonl`, `checkpoint/` and, unless the run was
    preempted, `adapter/`. However it ends, closed half-way included, the engine
    is ready for another.

    Args:
        plan: What to train.
        bench: Where.
        engine: Of this run alone until it ends.
        watch: Sees every point; what it returns ends the run.
        interrupt: Asked after every step; what it returns ends the run after a
            checkpoint.
        folder: Gets all that it leaves.
        trial: Its number, if it has one.

    Raises:
        BaseError: The recipe does not fit the base.
        CheckpointError: What an interrupted run left is damaged, or was made
            from other data, another base or another recipe.
        OSError: The folder cannot be written.
    """
    use_deterministic_kernels()
    bench.check_block_size(plan.hyperparameters.block_size)
    folder.mkdir(parents=True, exist_ok=True)
    manifest = _begin(plan, bench, folder, trial)
    seed = seed_of(plan)
    run = Run(plan.hyperparameters, course_of(plan), bench.stream(seed), bench.validation, folder)
    engine.start(plan.hyperparameters, seed)
    try:
        outcome = yield from train(run, engine, watch, interrupt)
        if outcome.stop.reason is not StopReason.PREEMPTED:
            _end(manifest, outcome, engine, folder)
    finally:
        engine.finish()
    return outcome


def _begin(plan: RunPlan, bench: Workbench, folder: Path, trial: int | None) -> Manifest:
    """Write the manifest, or check that an interrupted run's still describes this run."""
    fingerprints = take_fingerprints(bench, seed_of(plan))
    manifest = Manifest(trial=trial, plan=plan, fingerprints=fingerprints)
    path = folder / "manifest.json"
    if CheckpointFolder(folder / "checkpoint").steps() and path.is_file():
        _check_resumable(read_manifest(path), manifest, folder)
    write_manifest(path, manifest)
    return manifest


def _check_resumable(old: Manifest, new: Manifest, folder: Path) -> None:
    changed = ground_differences(old.fingerprints, new.fingerprints)
    if old.plan.hyperparameters != new.plan.hyperparameters or old.plan.tokens != new.plan.tokens:
        changed.append("the recipe")
    if changed:
        raise CheckpointError(
            f"{folder.name}: its checkpoint was made from something else ({'; '.join(changed)}). "
            "Put that back, or remove the folder to train the trial from its start"
        )


def _end(manifest: Manifest, outcome: Outcome, engine: Engine, folder: Path) -> None:
    adapter = folder / "adapter"
    unfinished = folder / ".adapter.tmp"
    shutil.rmtree(unfinished, ignore_errors=True)
    engine.save_adapter(unfinished)
    shutil.rmtree(adapter, ignore_errors=True)
    unfinished.replace(adapter)
    last = outcome.curve.points[-1]
    result = RunResult(
        stop_reason=outcome.stop.reason.value,
        evidence=outcome.stop.evidence,
        val_loss=outcome.curve.last_val_loss,
        tokens=last.tokens,
        seconds=last.seconds or 0.0,
        micro_batch=outcome.micro_batch,
        notes=list(outcome.notes),
        last_good_step=CheckpointFolder(folder / "checkpoint").last_good_step(),
        adapter_sha256=hash_files(adapter),
    )
    write_manifest(folder / "manifest.json", manifest.model_copy(update={"result": result}))

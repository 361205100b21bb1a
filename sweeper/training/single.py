"""One recipe outside any study: `sweeper train`, and the fresh process of `sweeper reproduce`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from sweeper.curves import Stop, StopReason
from sweeper.errors import UsageError
from sweeper.study import DataSpec, EvaluateSpec, Hyperparameters
from sweeper.training.device import find_device
from sweeper.training.ground import Ground
from sweeper.training.interruption import interruptible
from sweeper.training.manifest import Manifest, RunPlan, read_manifest
from sweeper.training.outcome import Outcome
from sweeper.training.packs import engine_of_run, new_pack
from sweeper.training.trainer import Observe, Report
from sweeper.training.trial import plan_run, run_plan
from sweeper.training.watches import Lookout, Shown, Watch
from sweeper.training.workbench import Workbench, set_up

DEFAULT_TOKENS = 240_000
VALIDATION_SHARE = 0.05
EVALUATION_TOKENS = 8_192
NUM_RUNGS = 10


@dataclass(frozen=True)
class RunOrder:
    """What `sweeper train` is asked for.

    Attributes:
        recipe: A seed of None is 0.
        model: The base; a path is relative to the working folder.
        data: The corpus; likewise.
        steps: Optimizer steps; None with `tokens`, or with neither.
        tokens: Training tokens; None with `steps`, or for the default.
        threads: CPU threads; None for one per core.
    """

    recipe: Hyperparameters
    model: str
    data: str
    steps: int | None
    tokens: int | None
    threads: int | None

    @property
    def total_tokens(self) -> int:
        """The run's budget.

        Raises:
            UsageError: Steps and tokens are both given.
        """
        if self.steps is None:
            return self.tokens or DEFAULT_TOKENS
        if self.tokens is not None:
            raise UsageError("--steps and --tokens: give one of them, the other follows")
        return self.steps * self.recipe.tokens_per_step

    def ground(self) -> Ground:
        """Base, data and evaluation, seen from the working folder."""
        try:
            data = DataSpec(train=self.data, validation=VALIDATION_SHARE)
        except ValidationError as error:
            raise UsageError(f"--data: {error.errors()[0]['msg']}") from error
        evaluate = EvaluateSpec(
            block_size=min(128, self.recipe.block_size),
            every_tokens=max(self.total_tokens // NUM_RUNGS, 1),
            tokens=EVALUATION_TOKENS,
        )
        return Ground(self.model, data, evaluate, self.recipe.seed or 0, Path())


def train_recipe(order: RunOrder, folder: Path, *, observe: Observe, report: Report) -> Outcome:
    """Train a recipe in a folder of its own; called again, it goes on where it was interrupted.

    Args:
        order: What to train.
        folder: Gets manifest, curve, checkpoints and adapter.
        observe: Shown every point.
        report: Told of the base's pretraining.

    Raises:
        SweeperError: Base, data or folder cannot be used.
    """
    threads = order.threads or os.cpu_count() or 1
    ground = order.ground()
    bench = set_up(ground, find_device(threads), report)
    recipe = order.recipe.model_copy(update={"seed": ground.seed})
    engine = engine_of_run("auto", bench.base, recipe, folder)
    plan = plan_run(bench, recipe, order.total_tokens, folder, engine=engine)
    return _train(plan, bench, folder, Lookout(), observe)


def train_manifest(path: Path, *, observe: Observe, report: Report) -> Outcome:
    """Train the run of a manifest again, in the manifest's folder, on its device and threads.

    Raises:
        CheckpointError: The manifest is damaged.
        SweeperError: Its base or data cannot be found any more.
    """
    manifest = read_manifest(path)
    plan = manifest.plan
    bench = set_up(plan.ground(path.parent), find_device(plan.threads, plan.device), report)
    return _train(plan, bench, path.parent, Lookout(recorded_end(manifest)), observe)


def recorded_end(manifest: Manifest) -> tuple[int, Stop] | None:
    """The last step of a recorded run, and why it ended there; None for one without a result."""
    if manifest.result is None:
        return None
    tokens_per_step = manifest.plan.hyperparameters.tokens_per_step
    last_step = -(-manifest.result.tokens // tokens_per_step)  # the last may be short
    return last_step, Stop(StopReason(manifest.result.stop_reason), manifest.result.evidence)


def _train(
    plan: RunPlan, bench: Workbench, folder: Path, watch: Watch, observe: Observe
) -> Outcome:
    with interruptible() as interrupt:
        return run_plan(
            plan,
            bench,
            new_pack(plan.engine, bench).seats[0],
            Shown(watch, lambda point: observe(point, plan.tokens)),
            interrupt,
            folder,
        )

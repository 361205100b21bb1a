"""Trains a study's trials by the user's own command."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from sweeper.study import CommandEngine, StudySpec
from sweeper.training.command import run_command
from sweeper.training.command_plan import plan_command
from sweeper.training.command_program import check_command
from sweeper.training.outcome import Outcome
from sweeper.training.setup import Setup
from sweeper.training.trainer import Job, Report, Take

_ACCELERATORS = (Path("/dev/nvidia0"), Path("/dev/kfd"))


class CommandTrainer:
    """A `Trainer` that starts a process for each trial; imports nothing heavy itself."""

    def __init__(self, spec: StudySpec, engine: CommandEngine) -> None:
        self._spec = spec
        self._engine = engine

    def prepare(self, report: Report) -> None:
        """See `Trainer.prepare`: one program that is missing need not fail every trial."""
        check_command(self._engine, self._spec.folder)

    def has_accelerator(self) -> bool:
        """See `Trainer.has_accelerator`: what the machine has, the script may use."""
        apple = sys.platform == "darwin" and platform.machine() == "arm64"
        return apple or any(path.exists() for path in _ACCELERATORS)

    def work(self, take: Take, setup: Setup) -> None:
        """See `Trainer.work`: one job at a time."""
        while (job := take()) is not None:
            try:
                ended: Outcome | Exception = self._train(job, setup.threads)
            except Exception as error:  # the trial's boundary: it is for its owner to judge
                ended = error
            job.settle(ended)

    def _train(self, job: Job, threads: int) -> Outcome:
        assignment = job.assignment
        plan = plan_command(
            self._engine,
            self._spec.folder,
            assignment.hyperparameters,
            tokens=self._spec.budget.tokens_per_trial,
            every_tokens=self._spec.evaluate.every_tokens,
            threads=threads,
            folder=assignment.folder,
        )
        watch = job.new_watch(plan.hyperparameters, plan.course)
        return run_command(plan, assignment.folder, watch, job.interrupt, assignment.number)

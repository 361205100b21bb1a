"""Trains a study's trials on the workbench: our own loop, on a base and a corpus."""

from __future__ import annotations

from functools import cached_property

import torch

from sweeper.study import StudySpec
from sweeper.training.device import find_device
from sweeper.training.engine import Engine
from sweeper.training.outcome import Outcome
from sweeper.training.pretrain import prepare_base
from sweeper.training.trainer import Assignment, Interrupt, NewWatch, Report
from sweeper.training.trial import course_of, plan_run, run_plan
from sweeper.training.workbench import Ground, Workbench, check_corpus, set_up


def ground_of(spec: StudySpec) -> Ground:
    """What all trials of a study stand on."""
    model, data = spec.base_and_data
    return Ground(model, data, spec.evaluate, spec.seed, spec.folder)


class BenchTrainer:
    """A `Trainer` with base, data and engine at hand; made ready before the first trial."""

    def __init__(self, spec: StudySpec) -> None:
        self._spec = spec
        self._bench: Workbench | None = None

    @cached_property
    def _ground(self) -> Ground:
        return ground_of(self._spec)

    def prepare(self, report: Report) -> None:
        """See `Trainer.prepare`: the corpus is read, and the base made where it must be."""
        check_corpus(self._ground)
        prepare_base(self._ground.model, self._ground.folder, report)

    def has_accelerator(self) -> bool:
        """See `Trainer.has_accelerator`."""
        return torch.cuda.is_available() or torch.backends.mps.is_available()

    def train(self, assignment: Assignment, new_watch: NewWatch, interrupt: Interrupt) -> Outcome:
        """See `Trainer.train`."""
        bench, engine = self._ready(assignment.threads)
        folder, tokens = assignment.folder, self._spec.budget.tokens_per_trial
        plan = plan_run(bench, assignment.hyperparameters, tokens, folder)
        watch = new_watch(plan.hyperparameters, course_of(plan))
        return run_plan(plan, bench, engine, watch, interrupt, folder, assignment.number)

    def _ready(self, threads: int) -> tuple[Workbench, Engine]:
        if self._bench is None:
            self._bench = set_up(self._ground, find_device(threads))
            self._engine = self._bench.new_engine()
        return self._bench, self._engine

"""Trains a study's trials on the workbench: our own loop, on a base and a corpus."""

from __future__ import annotations

from contextlib import closing
from functools import cached_property, partial
from typing import Literal

import torch

from sweeper.study import CommandEngine, StudySpec
from sweeper.training.device import find_device
from sweeper.training.engine import Engine
from sweeper.training.floors import record_floors
from sweeper.training.loop import Asking
from sweeper.training.manifest import EngineName
from sweeper.training.outcome import Outcome
from sweeper.training.packs import Packs
from sweeper.training.pretrain import prepare_base
from sweeper.training.setup import Setup
from sweeper.training.trainer import Job, Report, Take
from sweeper.training.trial import course_of, plan_run, trial_steps
from sweeper.training.workbench import Ground, Workbench, check_corpus, set_up


def ground_of(spec: StudySpec) -> Ground:
    """What all trials of a study stand on."""
    model, data = spec.base_and_data
    return Ground(model, data, spec.evaluate, spec.seed, spec.folder)


def engine_of(spec: StudySpec) -> Literal["auto", "packed", "peft"]:
    """Which of our own engines a study asks for; one of a command asks for none."""
    engine = spec.engine
    assert not isinstance(engine, CommandEngine), "a command has a trainer of its own"
    return engine


class BenchTrainer:
    """A `Trainer` with base and data at hand; made ready before the first trial."""

    def __init__(self, spec: StudySpec) -> None:
        self._spec = spec

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

    def work(self, take: Take, setup: Setup) -> None:
        """See `Trainer.work`: as many jobs at a time as the packs have seats for them."""
        with closing(
            Packs(partial(self._set_up, setup), engine_of(self._spec), setup.slots)
        ) as packs:
            shift = _Shift(packs, take, self._spec.budget.tokens_per_trial)
            while shift.fill():
                packs.advance()

    def _set_up(self, setup: Setup) -> Workbench:
        device = find_device(setup.threads)
        bench = set_up(self._ground, device, precision=setup.precision)
        record_floors(bench, self._spec.output_folder)
        return bench


class _Shift:
    """Brings jobs to the packs' seats.

    A job is only known when it is taken: one whose pack is full waits in hand,
    and no other is taken meanwhile.
    """

    def __init__(self, packs: Packs, take: Take, tokens_per_trial: int) -> None:
        self._packs = packs
        self._take = take
        self._tokens_per_trial = tokens_per_trial
        self._waiting: Job | None = None
        self._may_take = True

    def fill(self) -> bool:
        """Seat jobs while there is room and there are jobs; whether any is in training then."""
        while (job := self._next()) is not None:
            try:
                trial = job.assignment
                engine = self._packs.engine_of_run(trial.hyperparameters, trial.folder)
                driver = self._packs.driver_of(engine)
            except Exception as error:  # the trial's boundary: it is for its owner to judge
                job.settle(error)
                continue
            if not driver.has_room:
                self._waiting = job
                break
            driver.seat(partial(self._run, job, engine), partial(self._settle, job))
        return self._packs.are_busy

    def _next(self) -> Job | None:
        job, self._waiting = self._waiting, None
        if job is None and self._may_take and self._packs.have_room:
            job = self._take()
            self._may_take = job is not None
        return job

    def _settle(self, job: Job, ended: Outcome | Exception) -> None:
        self._may_take = True
        job.settle(ended)

    def _run(self, job: Job, name: EngineName, engine: Engine) -> Asking[Outcome]:
        bench, assignment = self._packs.bench, job.assignment
        folder = assignment.folder
        plan = plan_run(
            bench,
            assignment.hyperparameters,
            self._tokens_per_trial,
            folder,
            engine=name,
            slots=self._packs.slots if name == "packed" else 1,
        )
        watch = job.new_watch(plan.hyperparameters, course_of(plan))
        run = trial_steps(plan, bench, engine, watch, job.interrupt, folder, assignment.number)
        return (yield from run)

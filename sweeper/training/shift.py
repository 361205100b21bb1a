"""Trains jobs on the workbench as they come, several at a time where the packs have seats."""

from __future__ import annotations

from contextlib import closing
from functools import partial

from sweeper.study import StudySpec
from sweeper.training.device import find_device
from sweeper.training.engine import Engine
from sweeper.training.floors import record_floors
from sweeper.training.ground import engine_of, ground_of
from sweeper.training.loop import Asking
from sweeper.training.manifest import EngineName
from sweeper.training.outcome import Outcome
from sweeper.training.packs import Packs
from sweeper.training.setup import Setup
from sweeper.training.trainer import Job, Take
from sweeper.training.trial import course_of, plan_run, trial_steps
from sweeper.training.workbench import Workbench, set_up


def work_shift(spec: StudySpec, take: Take, setup: Setup) -> None:
    """Work through a study's jobs until there are no more; see `Trainer.work`."""
    bench = partial(_set_up, spec, setup)
    with closing(Packs(bench, engine_of(spec), setup.slots)) as packs:
        shift = _Shift(packs, take, spec.budget.tokens_per_trial)
        while shift.fill():
            packs.advance()


def _set_up(spec: StudySpec, setup: Setup) -> Workbench:
    bench = set_up(ground_of(spec), find_device(setup.threads), precision=setup.precision)
    record_floors(bench, spec.output_folder)
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

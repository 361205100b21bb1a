"""A `Trainer` on the workbench: our own loop, on a base and a corpus."""

from __future__ import annotations

from functools import cached_property

from sweeper.study import StudySpec
from sweeper.training.accelerators import has_accelerator
from sweeper.training.bases import prepare_base
from sweeper.training.ground import Ground, check_corpus, ground_of
from sweeper.training.setup import Setup
from sweeper.training.trainer import Report, Take


class BenchTrainer:
    """A `Trainer` with base and data at hand; torch is loaded by what trains or makes a base."""

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
        return has_accelerator()

    def work(self, take: Take, setup: Setup) -> None:
        """See `Trainer.work`: as many jobs at a time as the packs have seats for them."""
        from sweeper.training.shift import work_shift

        work_shift(self._spec, take, setup)

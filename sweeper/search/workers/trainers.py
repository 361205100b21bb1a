"""Which trainer a study asks for; the only place that chooses."""

from __future__ import annotations

from sweeper.study import StudySpec
from sweeper.training.trainer import Trainer

# By torch's first backward pass, and by numpy's first quantile.
_LOADED_BY_A_FIRST_STEP = ("torch.fx.experimental.symbolic_shapes", "numpy.ma")


def new_trainer(spec: StudySpec) -> Trainer:
    """The study's trainer; torch is imported when it trains, or makes a base."""
    if spec.command is not None:
        from sweeper.training.command_trainer import CommandTrainer

        return CommandTrainer(spec, spec.command)
    from sweeper.training.bench_trainer import BenchTrainer

    return BenchTrainer(spec)


def training_modules(spec: StudySpec) -> tuple[str, ...]:
    """What a process has to load that trains the study: seconds, where it is torch."""
    if spec.command is not None:
        return ("sweeper.training.command_trainer",)
    return ("torch", "sweeper.training.shift", *_LOADED_BY_A_FIRST_STEP)

"""Whose turn it is: trials that nobody holds, without those that wait for an equal one in hand.

The same experiment is not paid twice, not even by two workers at once: while one of two equal
trials is in hand, the other is put back. Whoever ends the first takes the second, which is then
lent the result, or is trained where there is none. A trial in hand waits for nobody, so no two can
wait for each other; and once its holder is dead, it is not in hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from optuna.trial import FrozenTrial, TrialState

from sweeper.search import attributes as attrs
from sweeper.search.leases import Lease
from sweeper.study import Hyperparameters

# Numbers of the trials from which a recipe's may come to have its result, itself among them.
PossibleLenders = Callable[[Hyperparameters], Sequence[int]]


def left_behind(
    trials: Sequence[FrozenTrial], possible_lenders: PossibleLenders, now: float
) -> Iterator[FrozenTrial]:
    """Trials that have begun, that nobody holds, and that need not wait.

    Args:
        trials: All of the study's, by number.
        possible_lenders: Finds the trials of one experiment.
        now: Unix time in seconds.
    """
    for trial in trials:
        if trial.state is not TrialState.RUNNING or is_held(trial, now):
            continue
        plain = trial.user_attrs.get(attrs.HYPERPARAMETERS)
        lenders = () if plain is None else possible_lenders(Hyperparameters.model_validate(plain))
        if not has_to_wait(trial.number, lenders, trials, now):
            yield trial


def has_to_wait(
    number: int, lenders: Sequence[int], trials: Sequence[FrozenTrial], now: float
) -> bool:
    """Whether somebody holds another trial that may come to lend its result."""
    return any(is_held(trials[n], now) for n in lenders if n != number)


def is_held(trial: FrozenTrial, now: float) -> bool:
    """Whether a living worker has a trial in hand."""
    lease = Lease.read(trial.user_attrs.get(attrs.LEASE))
    return trial.state is TrialState.RUNNING and lease is not None and not lease.is_free(now)

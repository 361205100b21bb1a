"""What is compared on a bank: samplers, and rules that end trials early."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

from optuna import pruners
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import BasePruner

from sweeper.search.replay.bank import Bank
from sweeper.study import PruneSpec

NewPruner = Callable[[Bank], BasePruner]
OFF = PruneSpec.model_validate({"spike": "off", "plateau": "off", "peers": "off"})


@dataclass(frozen=True)
class Arm:
    """A way to search.

    Attributes:
        name: What tables call it.
        prune: Our own rules.
        pruner: Makes one of Optuna's instead; it sees validation losses at the rungs, at tokens.
        early: Whether trials are evaluated at the bank's early rungs too.
    """

    name: str
    prune: PruneSpec = OFF
    pruner: NewPruner | None = None
    early: bool = False


def own_arms() -> list[Arm]:
    """No pruning, and our rules; of these only lag judges at early rungs."""
    return [
        Arm("no pruning"),
        Arm("spike, plateau", PruneSpec(peers="off")),
        Arm("spike, plateau, asha", PruneSpec(peers="asha")),
        Arm("spike, plateau, lag", PruneSpec(peers="lag")),
        Arm("spike, plateau, lag, early rungs", PruneSpec(peers="lag"), early=True),
    ]


def stock_arms() -> list[Arm]:
    """Optuna's pruners as their documentation proposes them, every option written out.

    Those that save most are tried with early rungs too. Threshold has no value to propose: it ends
    what is worse than the untrained adapter.
    """
    sparing = {
        "Median": _median,
        "Percentile 25": _percentile,
        "SuccessiveHalving": _halving,
        "Hyperband": _hyperband,
    }
    return [
        *(Arm(name, pruner=new) for name, new in sparing.items()),
        Arm("Patient + Median", pruner=_patient),
        Arm("Wilcoxon", pruner=_wilcoxon),
        Arm("Threshold", pruner=_threshold),
        *(Arm(f"{name}, early rungs", pruner=new, early=True) for name, new in sparing.items()),
    ]


def _median(bank: Bank) -> BasePruner:
    return pruners.MedianPruner(
        n_startup_trials=5, n_warmup_steps=0, interval_steps=1, n_min_trials=1
    )


def _percentile(bank: Bank) -> BasePruner:
    return pruners.PercentilePruner(
        25.0, n_startup_trials=5, n_warmup_steps=0, interval_steps=1, n_min_trials=1
    )


def _halving(bank: Bank) -> BasePruner:
    return pruners.SuccessiveHalvingPruner(
        min_resource=bank.rungs.within(bank.tokens_per_trial)[0],
        reduction_factor=3,
        min_early_stopping_rate=0,
        bootstrap_count=0,
    )


def _hyperband(bank: Bank) -> BasePruner:
    return pruners.HyperbandPruner(
        min_resource=bank.rungs.within(bank.tokens_per_trial)[0],
        max_resource=bank.tokens_per_trial,
        reduction_factor=3,
        bootstrap_count=0,
    )


def _patient(bank: Bank) -> BasePruner:
    return _experimental(lambda: pruners.PatientPruner(_median(bank), patience=1, min_delta=0.0))


def _wilcoxon(bank: Bank) -> BasePruner:
    return _experimental(lambda: pruners.WilcoxonPruner(p_threshold=0.1, n_startup_steps=2))


def _experimental(new: Callable[[], BasePruner]) -> BasePruner:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return new()


def _threshold(bank: Bank) -> BasePruner:
    start = bank.runs[0].curve.points[0].val_loss
    return pruners.ThresholdPruner(
        lower=None, upper=start, n_warmup_steps=bank.rungs.every_tokens, interval_steps=1
    )

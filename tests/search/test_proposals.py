"""What a sampler is shown, what is drawn again, and when a space is at its end."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState, create_trial

from sweeper.curves import StopReason
from sweeper.search import attributes as attrs
from sweeper.search.drawing.history import TPE_WINDOW, with_bad_losses, with_violations
from sweeper.search.store import StudyStore
from sweeper.study import Hyperparameters
from tests.search.fakes import claimed, result, run_faked, spec_at

RATE: dict[str, Any] = {"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}}
RATE_AND_RANK: dict[str, Any] = {**RATE, "rank": {"low": 1, "high": 4}}
SPLITS: dict[str, Any] = {"batch_size": [1, 2, 4, 8], "accumulation": [1, 2, 4, 8]}


def store_at(folder: Path, sampler: str, **changes: Any) -> StudyStore:
    spec = spec_at(folder, search={"sampler": sampler, "startup_trials": 4}, **changes)
    return StudyStore(spec, create=True, storage=InMemoryStorage())


def recipes(store: StudyStore) -> list[Hyperparameters]:
    plain = (trial.user_attrs[attrs.HYPERPARAMETERS] for trial in store.trials())
    return [Hyperparameters.model_validate(values) for values in plain]


# ---------------------------------------------------------------------- learning from failures


@pytest.mark.parametrize(
    ("sampler", "reason"),
    [
        ("tpe", StopReason.SPIKE),
        ("tpe", StopReason.NON_FINITE),
        ("cmaes", StopReason.SPIKE),
        ("cmaes", StopReason.NON_FINITE),
        ("gp", StopReason.NON_FINITE),
    ],
)
def test_a_region_that_always_fails_is_proposed_less_and_less(
    tmp_path: Path, sampler: str, reason: StopReason
) -> None:
    """Half of the rates fail, all of them above the best; a spike looked good before it rose."""
    num_trials = 21 if sampler == "gp" else 40  # a process takes a second to propose one
    store = store_at(tmp_path, sampler, space=RATE_AND_RANK, budget={"trials": num_trials})
    failed = []
    while (claim := store.claim("me")) is not None:
        rate = claim.hyperparameters.learning_rate
        fails = rate > 3e-3
        store.report(claim, 1000, 3.0 if fails else 5.0)
        if fails:
            broken = reason is StopReason.NON_FINITE
            store.finish(claim, result(reason, None if broken else 3.0, best_val_loss=4.0))
        else:
            store.finish(claim, result(val_loss=4.0 + abs(math.log10(rate / 1e-3))))
        failed.append(fails)

    early, late = failed[1:9], failed[-12:]

    assert sum(early) >= 2
    assert sum(late) <= 3


def ended(state: TrialState, reason: StopReason, loss: float | None, number: int = 0) -> Any:
    trial = create_trial(
        state=state,
        value=loss if state is TrialState.COMPLETE else None,
        user_attrs={attrs.STOP_REASON: reason.value, attrs.VAL_LOSS: loss},
        constraints={attrs.VIOLATION: 0.0 if state is TrialState.COMPLETE else 5.0},
    )
    trial.number = number
    return trial


def test_every_failure_is_told_as_a_finite_loss_no_better_than_the_worst() -> None:
    trials = [
        ended(TrialState.COMPLETE, StopReason.COMPLETED, 4.0),
        ended(TrialState.PRUNED, StopReason.PLATEAU, 5.5),
        ended(TrialState.PRUNED, StopReason.SPIKE, 3.0),
        ended(TrialState.PRUNED, StopReason.SPIKE, 80.0),
        ended(TrialState.PRUNED, StopReason.NON_FINITE, None),
        ended(TrialState.PRUNED, StopReason.OUT_OF_MEMORY, None),
        ended(TrialState.PRUNED, StopReason.TIMEOUT, 4.5),
    ]

    for number, trial in enumerate(trials):
        trial.number = number

    told = with_bad_losses(trials)

    assert [trial.value for trial in told] == [4.0, 5.5, 5.5, 5.5, 5.5, 5.5]
    assert {trial.state for trial in told} == {TrialState.COMPLETE}
    assert not any(trial.constraints for trial in told)
    assert trials[1].state is TrialState.PRUNED, "what is stored stays as it was"
    assert trials[1].constraints


def test_without_any_loss_nothing_is_told() -> None:
    assert with_bad_losses([ended(TrialState.PRUNED, StopReason.NON_FINITE, None)]) == []


def test_of_many_trials_tpe_sees_the_best_and_the_newest() -> None:
    done = TrialState.COMPLETE
    losses = [5.0] * (3 * TPE_WINDOW)
    losses[7], losses[9] = 3.0, 3.5
    trials = [ended(done, StopReason.COMPLETED, loss, n) for n, loss in enumerate(losses)]

    shown = with_violations(trials)

    assert len(shown) == TPE_WINDOW
    numbers = [trial.number for trial in shown]
    assert numbers == sorted(set(numbers))
    assert {7, 9} <= set(numbers)
    assert numbers[-900:] == list(range(len(trials)))[-900:]


# ---------------------------------------------------------------------- not twice


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "cmaes", "gp"])
def test_what_is_tried_or_running_is_not_drawn_again(tmp_path: Path, sampler: str) -> None:
    """Sixteen splits are seven effective batches; all are in hand at once."""
    store = store_at(tmp_path, sampler, space=SPLITS, budget={"trials": 50})
    claims = []
    while (claim := store.claim("me")) is not None:
        claims.append(claim)

    batches = [recipe.effective_batch for recipe in recipes(store)]

    assert sorted(batches) == [1, 2, 4, 8, 16, 32, 64]
    assert store.is_exhausted()
    assert not store.may_claim()


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "gp"])
def test_rates_within_two_percent_are_one(tmp_path: Path, sampler: str) -> None:
    """Fourteen rates that differ by two percent fit in this range, and no more."""
    narrow = {"learning_rate": {"low": 1e-3, "high": 1.3e-3, "log": True}}
    store = store_at(tmp_path, sampler, space=narrow, budget={"trials": 7})
    run_faked(store)

    rates = sorted(recipe.learning_rate for recipe in recipes(store))

    assert len(rates) == 7
    assert all(b / a > 1.02 for a, b in pairwise(rates))


def test_an_endless_space_is_never_exhausted(tmp_path: Path) -> None:
    store = store_at(tmp_path, "random", space=RATE, budget={"trials": 3})
    run_faked(store)
    assert not store.is_exhausted()


# ---------------------------------------------------------------------- out of memory


def overflow(store: StudyStore, micro_batch: int) -> None:
    claim = claimed(store)
    reason = StopReason.OUT_OF_MEMORY
    store.finish(claim, result(reason, None, 0, overflow=micro_batch))


COMMAND: dict[str, Any] = {"engine": {"command": "python train.py"}, "model": None, "data": None}


def test_a_command_is_never_given_a_pass_that_did_not_fit(tmp_path: Path) -> None:
    """The baseline's 8 blocks of 32 did not fit: what needs as much is split, or not drawn."""
    evaluate = {"block_size": 128, "tokens": None, "every_tokens": 1000}
    changes = {**COMMAND, "evaluate": evaluate, "budget": {"trials": 40}}
    store = store_at(tmp_path, "random", space={**SPLITS, "block_size": [16, 32]}, **changes)
    overflow(store, 8)
    run_faked(store)

    tried = recipes(store)[1:]

    assert len(tried) == 28, "all of the 32 points but the four of 8 blocks of 32"
    assert all((r.batch_size, r.block_size) != (8, 32) for r in tried)


def test_our_engine_is_spared_blocks_that_never_fit(tmp_path: Path) -> None:
    """It halves a micro-batch by itself: what counts is that one block of 32 does not fit."""
    space = {**RATE, "block_size": [16, 32, 64]}
    store = store_at(tmp_path, "random", space=space, budget={"trials": 12})
    overflow(store, 1)
    run_faked(store)

    assert {recipe.block_size for recipe in recipes(store)[1:]} == {16}


def test_a_batch_that_had_to_be_halved_is_drawn_split(tmp_path: Path) -> None:
    store = store_at(tmp_path, "random", space={**RATE, **SPLITS}, budget={"trials": 30})
    claim = claimed(store)
    store.finish(claim, result(val_loss=5.0, overflow=8))
    run_faked(store)

    tried = recipes(store)[1:]

    assert all(r.batch_size < 8 for r in tried if 8 * r.accumulation in (8, 16, 32))
    assert any(r.effective_batch == 16 for r in tried)


def test_what_is_prescribed_ends_at_once_with_its_evidence(tmp_path: Path) -> None:
    hypotheses = [
        {"name": "more rank", "change": {"rank": 16}},
        {"name": "shorter", "change": {"block_size": 16}},
    ]
    store = store_at(tmp_path, "random", hypotheses=hypotheses)
    overflow(store, 1)

    refused, fits = (store.memory_refusal(claimed(store)) for _ in range(2))

    assert fits is None
    assert refused is not None
    assert refused.reason is StopReason.OUT_OF_MEMORY
    assert refused.evidence == (
        "not trained: trial 0 ran out of memory on this machine with 1 x 32 tokens in a pass, and "
        "this needs no less with 1 x 32"
    )


def test_another_crew_has_another_memory(tmp_path: Path) -> None:
    storage = InMemoryStorage()
    stores = [
        StudyStore(spec_at(tmp_path, workers={"slots": slots}), create=True, storage=storage)
        for slots in ("auto", 1)
    ]
    overflow(stores[0], 1)
    claim = claimed(stores[1])

    refusals = [store.memory_refusal(claim) for store in stores if not store.is_exhausted()]

    assert refusals[1] is None


# ---------------------------------------------------------------------- conditions


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "cmaes", "gp"])
def test_a_condition_is_kept_by_every_sampler(tmp_path: Path, sampler: str) -> None:
    search = {"only_where": {"warmup": {"schedule": ["linear", "cosine"]}}}
    spec = spec_at(
        tmp_path,
        space={
            "warmup": {"low": "1%", "high": "20%"},
            "schedule": ["constant", "linear", "cosine"],
            **RATE,
        },
        search={"sampler": sampler, "startup_trials": 4, **search},
        budget={"trials": 16},
    )
    store = StudyStore(spec, create=True, storage=InMemoryStorage())
    run_faked(store)

    drawn = [
        (trial.params, recipe) for trial, recipe in zip(store.trials(), recipes(store), strict=True)
    ][1:]

    assert {params["schedule"] for params, _ in drawn} >= {"constant", "linear"}
    for params, recipe in drawn:
        assert ("warmup" in params) == (params["schedule"] != "constant")
        assert (recipe.warmup > 0) == ("warmup" in params), "elsewhere it is the baseline's"

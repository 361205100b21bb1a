"""Who sets the pace that a trial is held to."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest

from sweeper.curves import StopReason
from sweeper.search.claim import Claim
from sweeper.search.peer_rules import Passage, judge_by_lag
from sweeper.search.peers import peers_of
from sweeper.search.store import StudyStore
from tests.search.fakes import claimed, result, spec_at

pytestmark = pytest.mark.usefixtures("stored_in_memory")

RUNG = 1_000


@pytest.fixture
def store(tmp_path: Path) -> StudyStore:
    spec = spec_at(tmp_path, budget={"trials": 20, "tokens_per_trial": 4 * RUNG})
    assert spec.evaluate.every_tokens == RUNG
    return StudyStore(spec, create=True)


def trial(store: StudyStore, *losses: float) -> Claim:
    claim = claimed(store)
    for rung, loss in enumerate(losses):
        store.report(claim, rung * RUNG, loss)
    return claim


def test_best_completed_and_all_running_trials_lead(store: StudyStore) -> None:
    best = trial(store, 6.0, 5.5, 5.0, 4.5, 4.0)
    quick_then_poor = trial(store, 6.0, 4.1)
    diverging = trial(store, 6.0, 4.2, 9.0)
    me = trial(store, 6.0, 3.0)
    peers = peers_of(store, me)
    of_best = [(rung * RUNG, loss) for rung, loss in enumerate((6.0, 5.5, 5.0, 4.5, 4.0))]
    of_quick = [(0, 6.0), (RUNG, 4.1)]
    of_diverging = [(0, 6.0), (RUNG, 4.2), (2 * RUNG, 9.0)]
    assert peers.leaders(None) == [of_best, of_quick, of_diverging], "they run"
    store.finish(best, result(val_loss=4.0))
    store.finish(quick_then_poor, result(val_loss=4.1))
    store.finish(diverging, result(StopReason.SPIKE, 9.0))
    assert peers.leaders(None) == [of_best]
    assert peers.at_rung(RUNG) == [5.5, 4.1, 4.2]
    assert peers.best_val_loss() == 4.0


def test_leaders_of_another_warmup_are_left_out_where_that_matters(store: StudyStore) -> None:
    other = trial(store, 6.0, 5.0)
    peers = peers_of(store, trial(store, 6.0))
    assert peers.leaders(other.hyperparameters.warmup) == [[(0, 6.0), (RUNG, 5.0)]]
    assert peers.leaders(0.37) == []


def test_early_rungs_have_losses_of_their_own(tmp_path: Path) -> None:
    spec = spec_at(tmp_path, evaluate={"first_tokens": RUNG // 4})
    store = StudyStore(spec, create=True)
    other, me = claimed(store), claimed(store)
    for tokens, loss in ((0, 6.0), (260, 5.8), (700, 5.5), (1_010, 5.0)):
        store.report(other, tokens, loss)
    peers = peers_of(store, me)
    assert [peers.at_rung(tokens) for tokens in (250, 500, 1_000)] == [[5.8], [5.5], [5.0]]


LEVELS = [
    (4.9, 4.5, 4.2, 4.0),
    (4.92, 4.52, 4.21, 4.01),
    (5.9, 5.8, 5.7, 5.6),
    (5.8, 5.7, 5.6, 5.5),
]


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_in_lock_step_the_leaders_stay_and_laggards_go_whatever_the_order(
    store: StudyStore, order: tuple[int, ...]
) -> None:
    claims = [trial(store, 6.0) for _ in range(4)]
    alive = set(range(4))
    for rung in range(1, 4):
        for number in order:
            if number in alive:
                levels = LEVELS[number]
                store.report(claims[number], rung * RUNG, levels[rung - 1])
                passages = [
                    Passage(n * RUNG, 4 * RUNG, n, levels[n - 1], 6.0) for n in range(1, rung + 1)
                ]
                stop = judge_by_lag(passages, peers_of(store, claims[number]))
                if stop is not None:
                    store.finish(claims[number], result(stop.reason, levels[rung - 1]))
                    alive.discard(number)
    assert alive == {0, 1}

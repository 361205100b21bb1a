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


def test_best_completed_and_all_running_trials_set_the_pace(store: StudyStore) -> None:
    best = trial(store, 6.0, 5.5, 5.0, 4.5, 4.0)
    quick_then_poor = trial(store, 6.0, 4.1, 4.1, 4.1, 4.1)
    diverging = trial(store, 6.0, 4.2, 9.0)
    me = trial(store, 6.0)
    peers = peers_of(store, me)
    assert peers.pace_at(RUNG) == 4.1, "they run"
    store.finish(best, result(val_loss=4.0))
    store.finish(quick_then_poor, result(val_loss=4.1))
    store.finish(diverging, result(StopReason.SPIKE, 9.0))
    assert [peers.pace_at(n * RUNG) for n in (1, 2, 3)] == [5.5, 5.0, 4.5]
    assert peers.at_rung(RUNG) == [5.5, 4.1, 4.2]
    assert peers.best_val_loss() == 4.0


def test_pace_is_that_of_whoever_came_so_far(store: StudyStore) -> None:
    trial(store, 6.0, 5.0)
    me = trial(store, 6.0, 5.5, 5.4)
    peers = peers_of(store, me)
    assert peers.pace_at(RUNG + 200) == 5.0
    assert peers.pace_at(2 * RUNG) is None


def test_early_rungs_have_a_pace_of_their_own(tmp_path: Path) -> None:
    spec = spec_at(tmp_path, evaluate={"first_tokens": RUNG // 4})
    store = StudyStore(spec, create=True)
    other, me = claimed(store), claimed(store)
    for tokens, loss in ((0, 6.0), (260, 5.8), (700, 5.5), (1_010, 5.0)):
        store.report(other, tokens, loss)
    peers = peers_of(store, me)
    assert [peers.pace_at(tokens) for tokens in (250, 500, 1_000)] == [5.8, 5.5, 5.0]
    assert peers.pace_at(249) == 6.0, "before the first rung there is the start alone"


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_in_lock_step_the_leader_stays_and_laggards_go_whatever_the_order(
    store: StudyStore, order: tuple[int, ...]
) -> None:
    """Four trials come to each rung in one order; who came too early is judged at
    the next."""
    claims = [trial(store, 6.0) for _ in range(4)]
    levels = [(5.0, 4.6, 4.3), (5.1, 4.65, 4.31), (5.9, 5.8, 5.7), (5.8, 5.7, 5.6)]
    alive = set(range(4))
    for rung in range(3):
        for number in order:
            if number in alive:
                store.report(claims[number], (rung + 1) * RUNG, levels[number][rung])
                passages = [
                    Passage((n + 1) * RUNG, 4 * RUNG, n + 1, levels[number][n], 6.0, decay_left=0)
                    for n in range(rung + 1)
                ]
                stop = judge_by_lag(passages, peers_of(store, claims[number]))
                if stop is not None:
                    store.finish(claims[number], result(stop.reason, levels[number][rung]))
                    alive.discard(number)
    assert alive == {0, 1}

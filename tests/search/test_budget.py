"""What a study may spend holds whatever becomes of its workers."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from optuna.trial import TrialState

from sweeper.search.claim import Claim
from sweeper.search.outcomes import tokens_paid
from sweeper.search.runner import RunOutcome
from sweeper.search.store import StudyStore
from sweeper.search.verifying.carrying import verify_study
from sweeper.search.verifying.verdicts import load_verification
from sweeper.study import StudySpec
from tests.search.fakes import TOKENS_PER_TRIAL, overwrite_lease, result, spec_at, trained

pytestmark = pytest.mark.usefixtures("stored_in_memory")

RUNG = 1_000
WORKERS = ("one", "two", "three")


def work_and_die(store: StudyStore, chance: random.Random) -> int:
    """Three workers with up to two trials in hand, each of which may die; how many did."""
    hands: dict[str, list[Claim]] = {name: [] for name in WORKERS}
    kills = 0
    while store.may_claim() or any(hands.values()):
        name = chance.choice(WORKERS)
        hand = hands[name]
        if len(hand) < 2 and (claim := store.claim(name)) is not None:
            hand.append(claim)
        elif hand and chance.random() < 0.25:
            kills += len(hand)
            for claim in hand:
                _die(store, claim, chance)
            hand.clear()
        elif hand:
            assert store.finish(hand.pop(), result())
    return kills


def _die(store: StudyStore, claim: Claim, chance: random.Random) -> None:
    """Between two rungs: the next attempt goes on from the last."""
    at = chance.randrange(TOKENS_PER_TRIAL)
    trained(store, claim.number, at, kept=at // RUNG * RUNG)
    overwrite_lease(store, claim.number, expires_at=0.0)


@pytest.mark.parametrize("seed", range(2))
def test_trials_hold_exactly_and_tokens_to_a_rung_for_each_death(tmp_path: Path, seed: int) -> None:
    most = 10 * TOKENS_PER_TRIAL
    spec = spec_at(tmp_path, budget={"trials": 12, "tokens": most})
    store = StudyStore(spec, create=True)

    kills = work_and_die(store, random.Random(seed))

    trials = store.trials()
    assert kills > 0
    assert all(trial.state.is_finished() for trial in trials)
    assert len(trials) <= 12
    spent = sum(tokens_paid(trial.user_attrs) for trial in trials)
    assert spent <= most + kills * RUNG
    assert spent > most - TOKENS_PER_TRIAL or len(trials) == 12


@pytest.mark.parametrize("seed", range(2))
def test_as_many_trials_as_were_asked_for_end_once_each(tmp_path: Path, seed: int) -> None:
    store = StudyStore(spec_at(tmp_path, budget={"trials": 9}), create=True)

    work_and_die(store, random.Random(seed))

    trials = store.trials()
    assert [trial.number for trial in trials] == list(range(9))
    assert {trial.state for trial in trials} <= {TrialState.COMPLETE, TrialState.FAIL}
    assert not store.may_claim()


def test_what_a_crash_lost_is_part_of_the_budget(tmp_path: Path) -> None:
    most = 2 * TOKENS_PER_TRIAL + RUNG - 1
    store = StudyStore(spec_at(tmp_path, budget={"trials": 9, "tokens": most}), create=True)
    claim = store.claim("one")
    assert claim is not None
    assert store.may_ask()
    trained(store, claim.number, 2 * RUNG - 1, kept=RUNG)
    assert store.may_ask()
    trained(store, claim.number, 2 * RUNG - 2, kept=RUNG)  # it died twice
    assert not store.may_ask()
    assert store.finish(claim, result())
    assert not store.may_ask()


@pytest.mark.parametrize(("left", "num_trials"), [(10_000, (10, 2)), (None, (10, 6))])
def test_budget_holds_for_search_and_other_seeds_whoever_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int | None, num_trials: tuple[int, ...]
) -> None:
    """Of one hypothesis, two looks: five seeds and three more, which nothing decides."""
    whole = None if left is None else (6 + 10) * TOKENS_PER_TRIAL + left
    spec = spec_at(
        tmp_path,
        budget={"trials": 6, "tokens": whole},
        hypotheses=[{"name": "more rank", "change": {"rank": 4}}],
        verify={"pairs": [5, 8], "top": 0},
    )
    search = StudyStore(spec, create=True)
    while (claim := search.claim("one")) is not None:
        search.finish(claim, result())
    chance, deaths = random.Random(0), []

    def run(study: StudySpec, **_: object) -> RunOutcome:
        deaths.append(work_and_die(StudyStore(study, create=True), chance))
        return RunOutcome(None, wall_clock_spent=False)

    monkeypatch.setattr("sweeper.search.verifying.carrying.run_study", run)
    verify_study(spec, observe=lambda _: None, tell=lambda *_: None)

    found = load_verification(spec)
    assert found is not None
    lost = found.tokens - TOKENS_PER_TRIAL * sum(num_trials)
    assert 0 <= lost <= RUNG * sum(deaths)
    assert sum(deaths) > 0
    if left is None:
        assert tuple(look.num_ended for look in found.looks) == num_trials
        assert found.next_look is None

"""Studies that are run over recorded curves, and what many of them come to."""

from __future__ import annotations

import json
import math
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from sweeper.cli import app
from sweeper.curves import StopReason
from sweeper.search import store, taking
from sweeper.search.leases import LEASE_SECONDS
from sweeper.search.replay.arms import Arm, own_arms, stock_arms
from sweeper.search.replay.bank import Bank, write_bank
from sweeper.search.replay.simulation import Ended, Simulated, simulate
from sweeper.search.replay.summary import summarize
from sweeper.study import StudySpec, spec_to_plain
from tests.search.replay.banks import TOKENS, new_spec

ARMS = {arm.name: arm for arm in [*own_arms(), *stock_arms()]}


@pytest.fixture
def spec(tmp_path: Path) -> StudySpec:
    return new_spec(tmp_path)


def run(spec: StudySpec, bank: Bank, arm: Arm, trials: int = 8, seed: int = 0) -> Simulated:
    return simulate(spec, bank, arm, tokens=trials * TOKENS, workers=2, seed=seed)


def test_study_without_pruning_trains_as_many_trials_as_it_can_pay(
    spec: StudySpec, bank: Bank
) -> None:
    found = run(spec, bank, ARMS["no pruning"])
    assert [trial.reason for trial in found.trials] == [StopReason.COMPLETED] * 8
    assert [trial.tokens for trial in found.trials] == [TOKENS] * 8
    assert [trial.study_tokens for trial in found.trials] == [TOKENS * n for n in range(1, 9)]
    assert (found.pruned, found.saved_share) == ((), 0)


def test_same_arguments_give_the_same_study(spec: StudySpec, bank: Bank) -> None:
    arm = ARMS["spike, plateau, lag"]
    assert run(spec, bank, arm, seed=3) == run(spec, bank, arm, seed=3)
    assert run(spec, bank, arm, seed=3) != run(spec, bank, arm, seed=5)


def test_slow_machine_gives_the_same_study(
    spec: StudySpec, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A third of a lease passes whenever the clock is read: no trial is taken for left behind."""
    arm = ARMS["spike, plateau, lag"]
    quick = run(spec, bank, arm)
    clock = count(0.0, LEASE_SECONDS / 3)
    for module in (store, taking):
        monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: next(clock)))
    assert run(spec, bank, arm) == quick


@pytest.mark.parametrize("name", ARMS)
@pytest.mark.parametrize("workers", [1, 8])
def test_every_arm_spends_no_more_than_it_may(
    spec: StudySpec, bank: Bank, name: str, workers: int
) -> None:
    """Alone, and with all trials in lock-step."""
    found = simulate(spec, bank, ARMS[name], tokens=10 * TOKENS, workers=workers, seed=1)
    assert sum(trial.tokens for trial in found.trials) <= 10 * TOKENS
    assert any(trial.reason is StopReason.COMPLETED for trial in found.trials)
    assert all(trial.tokens < TOKENS for trial in found.pruned)
    if name == "no pruning":
        assert not found.pruned


def test_spikes_are_ended_where_the_live_rule_ends_them(spec: StudySpec, bank: Bank) -> None:
    studies = [run(spec, bank, ARMS["spike, plateau"], seed=seed) for seed in range(6)]
    ends = [t for found in studies for t in found.trials if t.reason is StopReason.SPIKE]
    assert len(ends) > 2
    assert all(math.isclose(trial.final_val_loss, 9.0) for trial in ends)
    assert all(TOKENS / 5 < trial.tokens < TOKENS / 2 for trial in ends)


def test_baseline_is_never_pruned(bank: Bank, tmp_path: Path) -> None:
    """Among peers of which none is worse."""
    rates = {"learning_rate": [1e-2]}
    spec = new_spec(tmp_path, space=rates)
    for name, arm in ARMS.items():
        found = run(spec, bank, arm)
        (baseline,) = [t for t in found.trials if t.final_val_loss > 3.9]
        assert baseline.reason is StopReason.COMPLETED, name


def study(*trials: tuple[int, int, StopReason, float]) -> Simulated:
    return Simulated(2.0, 100, tuple(Ended(*trial) for trial in trials))


DONE, CUT = StopReason.COMPLETED, StopReason.PEERS


def test_what_a_study_came_to() -> None:
    found = study(
        (40, 40, CUT, 2.5), (140, 100, DONE, 2.6), (160, 20, CUT, 2.01), (260, 100, DONE, 2.02)
    )
    assert found.tokens_to_good == 260
    assert found.regret_at(139) == math.inf
    assert found.regret_at(259) == pytest.approx(0.6)
    assert found.regret_at(260) == pytest.approx(0.02)
    assert found.saved_share == pytest.approx(1 - 260 / 400)


def test_rates_are_those_of_all_studies_together() -> None:
    studies = [
        study((40, 40, CUT, 2.5), (60, 20, CUT, 2.01), (160, 100, DONE, 2.0)),
        study((100, 100, DONE, 2.5), (120, 20, CUT, 3.0), (220, 100, DONE, 2.01)),
        study((100, 100, DONE, 2.5), (120, 20, CUT, 3.0)),
    ]
    found = summarize(studies, tokens=240)
    assert found.false_prunes.value == pytest.approx(1 / 4)
    assert found.lost.value == pytest.approx(1 / 3)
    assert found.reached.value == pytest.approx(2 / 3)
    assert found.tokens_to_good.value == pytest.approx((160 + 220 + 240) / 3)
    assert found.regret_at(1.0).value == pytest.approx((0 + 0.01 + 0.5) / 3)
    assert math.isnan(found.regret_at(1 / 4).value), "none had completed: nothing to tell"
    for estimate in (found.false_prunes, found.lost, found.saved, found.tokens_to_good):
        assert estimate.low <= estimate.value <= estimate.high
        assert estimate.low < estimate.high


def test_nothing_pruned_is_no_rate() -> None:
    found = summarize([study((100, 100, DONE, 2.5))] * 2, tokens=100)
    assert math.isnan(found.false_prunes.value)


def test_command_prints_every_arm_and_writes_a_page(
    spec: StudySpec, bank: Bank, tmp_path: Path
) -> None:
    spec.path.write_text(json.dumps(spec_to_plain(spec)))
    (tmp_path / "qa.md").write_text("Q: a\nA: b\n")
    write_bank(bank, tmp_path / "bank.npz")
    line = ["simulate", str(spec.path), "--bank", str(tmp_path / "bank.npz"), "--seeds", "2"]
    more = ["--own", "--trials", "4", "--sampler", "random", "--sampler", "tpe"]
    outcome = CliRunner().invoke(app, [*line, *more, "--json", "--out", str(tmp_path / "out")])
    assert outcome.exit_code == 0, outcome.output
    standings = json.loads(outcome.stdout)
    assert [(s["sampler"], s["arm"]) for s in standings] == [
        (sampler, arm.name) for sampler in ("random", "tpe") for arm in own_arms()
    ]
    page = (tmp_path / "out" / "README.md").read_text()
    assert page.count("| tpe |") == len(own_arms())
    assert "2 simulated studies" in page
    assert "--seeds 2 --sampler random --sampler tpe --trials 4 --workers 2 --own --out" in page
    assert (tmp_path / "out" / "regret.png").stat().st_size > 10_000
    outcome = CliRunner().invoke(app, [*line, "--sampler", "genetic"])
    assert outcome.exit_code != 0

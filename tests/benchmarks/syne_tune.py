"""Syne Tune's rules in its own simulator on a bank of recorded curves, beside ours.

    python -m venv venv && venv/bin/pip install --editable . syne-tune==0.16.0
    venv/bin/python -m tests.benchmarks.syne_tune [--seeds N]

Both sides draw from the same space, find a recipe's run in the same way, begin with the baseline,
which no rule may end, train two trials at a time at the recorded pace, and spend the same tokens.
Syne Tune's simulator adds the time of its own decisions to the recorded one, so its studies do not
repeat to the last digit. Writes `reports/replay/syne-tune.md`; a hundred seeds take some eight
minutes of two idle cores, and twenty for the samplers that learn as long again (`--slow-seeds 0`
leaves these out).
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import syne_tune
from joblib import Parallel, delayed
from syne_tune import StoppingCriterion, Tuner, config_space
from syne_tune.backend.simulator_backend.simulator_backend import SimulatorConfig
from syne_tune.backend.simulator_backend.simulator_callback import SimulatorCallback
from syne_tune.backend.trial_status import Status
from syne_tune.blackbox_repository import UserBlackboxBackend
from syne_tune.blackbox_repository.blackbox import Blackbox
from syne_tune.optimizer.scheduler import SchedulerDecision

from sweeper.files import write_durably
from sweeper.reports.replay import COLUMNS, cells_of
from sweeper.search.replay.arms import own_arms
from sweeper.search.replay.bank import Bank, Run, read_bank
from sweeper.search.replay.contest import Standing, Terms, hold_contest
from sweeper.search.replay.simulation import Simulated
from sweeper.search.replay.summary import summarize
from sweeper.search.workers.crew import num_cores
from sweeper.study import StudySpec, load_study
from tests.benchmarks.syne_rules import RULES, UNSUITED, Rule, Space, space_of
from tests.benchmarks.syne_table import ELAPSED, METRIC, RESOURCE, SEEN, SLOWER, Book, results_of

# --- the simulator ---------------------------------------------------------------------------


class RecordedBackend(UserBlackboxBackend):
    """Trials that take the course of the bank's runs.

    A `BlackboxTabular` needs every configuration at every resource; here a rate stands for all
    that are nearest to it, and a big step leaps over rungs. So a trial's results are given as such.
    """

    def __init__(self, spec: StudySpec, bank: Bank, space: Space, recorded_seed: int) -> None:
        tokens = config_space.randint(1, bank.tokens_per_trial)
        super().__init__(
            Blackbox(space, {RESOURCE: tokens}, [METRIC, ELAPSED, SEEN]),
            elapsed_time_attr=ELAPSED,
            simulator_config=SimulatorConfig(),
            tuner_sleep_time=0.02 * SLOWER,  # far less than between two rungs
        )
        self._spec, self._bank, self._recorded_seed = spec, bank, recorded_seed

    def run_of(self, config: Mapping[str, Any]) -> Run:
        """The run that stands for a configuration."""
        return self._bank.find(self._spec.hyperparameters_with(config), self._recorded_seed)

    def config_objectives(self, config: Mapping[str, Any], seed: int) -> list[dict[str, float]]:
        """See Syne Tune's own."""
        return results_of(self.run_of(config), self._bank.rungs, self._bank.tokens_per_trial)


class Keeping(SimulatorCallback):
    """Keeps the book."""

    def __init__(self, backend: RecordedBackend, book: Book) -> None:
        super().__init__()
        self._backend, self._book = backend, book

    def on_trial_result(
        self, trial: Any, status: str, result: dict[str, Any], decision: str
    ) -> None:
        """See Syne Tune's own."""
        if decision == SchedulerDecision.STOP:
            run = self._backend.run_of(trial.config)
            self._book.close(trial.trial_id, run, int(result[SEEN]))

    def on_trial_complete(self, trial: Any, result: dict[str, Any]) -> None:
        """See Syne Tune's own."""
        run = self._backend.run_of(trial.config)
        self._book.close(trial.trial_id, run, run.curve.points[-1].tokens)


class PayingTuner(Tuner):
    """Begins a trial only where a whole one can be paid, and waits while that may still come."""

    def __init__(self, book: Book, **options: Any) -> None:
        super().__init__(**options)
        self._book = book

    def _schedule_new_tasks(self, running_trials_ids: set[int]) -> None:
        num_before = len(running_trials_ids)
        while len(running_trials_ids) < self.n_workers and self._book.may_begin(
            len(running_trials_ids)
        ):
            trial = self._schedule_new_task()
            running_trials_ids.add(trial.trial_id)
            begun = {trial.trial_id: (trial, Status.in_progress)}
            self.tuning_status.update(trial_status_dict=begun, new_results=[])
        if not running_trials_ids:
            raise StopIteration
        if len(running_trials_ids) == num_before:
            self._sleep()


def run_study(terms: Terms, rule: Rule, seed: int) -> Simulated:
    """One study until its tokens are spent."""
    np.random.seed(seed)  # Syne Tune draws a trial's bracket from the global generator
    bank = terms.bank if rule.early else terms.bank.even
    terms = replace(terms, bank=bank)
    recorded_seed = bank.seeds[seed % len(bank.seeds)]
    space = space_of(terms.spec)
    backend = RecordedBackend(terms.spec, bank, space, recorded_seed)
    book = Book(terms.tokens, bank.tokens_per_trial)
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as nowhere:
        os.environ["SYNETUNE_FOLDER"] = folder
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            PayingTuner(
                book,
                trial_backend=backend,
                scheduler=rule.new(space, terms, seed),
                stop_criterion=StoppingCriterion(max_num_trials_started=1_000_000),
                n_workers=terms.workers,
                sleep_time=0,
                callbacks=[Keeping(backend, book)],
                save_tuner=False,
            ).run()
    return Simulated(bank.best_val_loss(recorded_seed), bank.tokens_per_trial, book.ended)


# --- the contest -----------------------------------------------------------------------------


def main() -> None:
    """Run every rule over the seeds, and ours beside them."""
    options = _options()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    spec, bank = load_study(options.study, []), read_bank(options.bank)
    terms = Terms(
        spec=spec,
        bank=bank,
        samplers=("random",),
        seeds=tuple(range(options.seeds)),
        tokens=spec.budget.trials * bank.tokens_per_trial,
        workers=2,
    )
    began = time.monotonic()
    ours = hold_contest(terms, own_arms(), lambda what, done, total: None)
    refusals = list(_refusals(terms))
    theirs: list[Standing] = []
    for rule in RULES:
        seeds = terms.seeds[: options.slow_seeds] if rule.learns else terms.seeds
        if seeds:
            theirs.append(_standing(replace(terms, seeds=seeds), rule))
            # After each, so that a run that is broken off was not for nothing.
            write_durably(options.out, page(terms, ours, theirs, refusals).encode())
            print(f"{rule.sampler}, {rule.name}: {time.monotonic() - began:.0f} s", flush=True)


def _refusals(terms: Terms) -> Iterator[str]:
    for rule in UNSUITED:
        try:
            run_study(terms, rule, 0)
        except Exception as error:  # whatever it is, the page shows it
            text = getattr(error, "strerror", None) or error  # without a path of this machine
            yield f"{rule.sampler}, {rule.name}: `{type(error).__name__}: {text}`"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path, default=Path("studies/plateau.yaml"))
    parser.add_argument("--bank", type=Path, default=Path("studies/banks/plateau.npz"))
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--slow-seeds", type=int, default=20, help="of samplers that learn")
    parser.add_argument("--out", type=Path, default=Path("reports/replay/syne-tune.md"))
    return parser.parse_args()


def _standing(terms: Terms, rule: Rule) -> Standing:
    place = RULES.index(rule)
    studies = Parallel(n_jobs=num_cores())(
        delayed(_study_of)(terms, place, seed) for seed in terms.seeds
    )
    name = f"Syne Tune: {rule.name} ({len(terms.seeds)} studies)"
    return Standing(rule.sampler, name, True, summarize(studies, terms.tokens))


def _study_of(terms: Terms, place: int, seed: int) -> Simulated:
    """In a process of its own, which is told a rule's place: a rule cannot travel."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    return run_study(terms, RULES[place], seed)


def page(
    terms: Terms,
    ours: Sequence[Standing],
    theirs: Sequence[Standing],
    refusals: Sequence[str],
) -> str:
    """The comparison in Markdown."""
    lines = [
        "# Syne Tune's rules on the recorded curves",
        "",
        "Written by `python -m tests.benchmarks.syne_tune`; the columns are those of",
        "[the comparison with Optuna's pruners](README.md).",
        "",
        _TERMS.format(
            version=syne_tune.__version__,
            seeds=len(terms.seeds),
            tokens=f"{terms.tokens:,}",
            workers=terms.workers,
            every=f"{terms.bank.rungs.every_tokens:,}",
            rungs=", ".join(f"{n:,}" for n in terms.bank.rungs.within(terms.bank.tokens_per_trial)),
        ),
        _row(COLUMNS),
        "|---|---|" + "---:|" * (len(COLUMNS) - 2),
        *(_row(cells_of(standing)) for standing in (*ours, *theirs)),
    ]
    if refusals:
        lines += ["", "What did not run:", "", *(f"- {refusal}" for refusal in refusals)]
    return "\n".join(lines) + "\n"


_TERMS = """\
Syne Tune {version} in its own simulator, sweeper in its own, {seeds} simulated studies of
{tokens} tokens each. Both draw from the same space, find a recipe's run in the same way, begin with
the baseline, which no rule may end, train {workers} trials at a time at the recorded pace, and
begin no trial that could not be paid to its end.
The rungs are {rungs} tokens.
Those with early rungs are asked from the first of them on, the others from {every} tokens on;
reduction factor 3, one bracket where no other number is given, Syne Tune's own values for all else.
Unlike sweeper, Syne Tune may train an experiment twice that is drawn in another guise, such as
8 blocks x 4 and 32 x 1.
"""


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()

"""The commands `sweeper bank` and `sweeper simulate`: parse, call, print."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sweeper.commands.terms import StudyFile
from sweeper.errors import UsageError

_SAMPLERS = ("random", "tpe", "gp", "cmaes", "qmc")


def bank(
    study: StudyFile,
    out: Annotated[Path, typer.Argument(metavar="FILE", help="The bank, such as plateau.npz.")],
) -> None:
    """Put the whole curves of a study without pruning into one small file."""
    from sweeper.reports.words import clean
    from sweeper.search.replay.bank import write_bank
    from sweeper.search.replay.recording import bank_of
    from sweeper.search.results import load_results
    from sweeper.search.store import StudyStore
    from sweeper.study import load_study

    recorded = bank_of(load_results(StudyStore(load_study(study, []), create=False)))
    write_bank(recorded, out)
    print(f"{clean(out)}: {len(recorded.runs)} runs of {recorded.tokens_per_trial:,} tokens")


def simulate(
    study: StudyFile,
    bank: Annotated[Path, typer.Option(help="Recorded curves of the study's space.")],
    seeds: Annotated[int, typer.Option(min=2, help="Simulated studies of each arm.")] = 100,
    samplers: Annotated[
        list[str] | None,
        typer.Option(
            "--sampler", help=f"{', '.join(_SAMPLERS)}; repeatable; the study's if not given."
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(min=1, help="Whole trials whose tokens a study may spend; as the study says."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Trials at a time.")] = 2,
    own: Annotated[
        bool, typer.Option("--own", help="Leave out Optuna's pruners: sweeper's rules alone.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for a page with table and figure.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare samplers and pruners on recorded curves, in minutes and without training."""
    for name in samplers or ():
        if name not in _SAMPLERS:
            raise UsageError(f"--sampler {name}: unknown (allowed: {', '.join(_SAMPLERS)})")
    from rich.console import Console

    from sweeper.reports.live import StudyView
    from sweeper.reports.replay import contest_table, write_contest
    from sweeper.search.replay.arms import own_arms, stock_arms
    from sweeper.search.replay.bank import read_bank
    from sweeper.search.replay.contest import Terms, hold_contest
    from sweeper.study import load_study

    spec, recorded = load_study(study, []), read_bank(bank)
    terms = Terms(
        spec=spec,
        bank=recorded,
        samplers=tuple(samplers or [spec.search.sampler]),
        seeds=tuple(range(seeds)),
        tokens=(trials or spec.budget.trials) * recorded.tokens_per_trial,
        workers=workers,
    )
    arms = own_arms() if own else [*own_arms(), *stock_arms()]
    arms = [arm for arm in arms if recorded.rungs.early or not arm.early]
    with StudyView(Console(stderr=True)) as view:
        standings = hold_contest(terms, arms, view.tell)
    if out is not None:
        options = [
            ("bank", bank),
            ("seeds", seeds),
            *(("sampler", name) for name in samplers or ()),
            *([("trials", trials)] if trials else ()),
            ("workers", workers),
            *([("own", "")] if own else ()),
            ("out", out),
        ]
        command = " ".join(f"--{name} {value}".strip() for name, value in options)
        write_contest(terms, standings, out, f"sweeper simulate {study} {command}")
    if as_json:
        print(json.dumps([asdict(standing) for standing in standings], indent=2))
    else:
        Console().print(contest_table(standings))

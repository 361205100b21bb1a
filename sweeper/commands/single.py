"""The commands that train one recipe: `train`, and `reproduce`, which trains a trial's again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from sweeper.commands.terms import Overrides, StudyFile, progress_console, show


def reproduce(
    study: StudyFile,
    overrides: Overrides = None,
    trial: Annotated[
        int | None, typer.Option(help="Number of the trial; the best one if not given.", min=0)
    ] = None,
) -> None:
    """Train a trial again from its manifest alone, and check that the result is the same."""
    from sweeper.reports.endings import verdict
    from sweeper.reports.live import RunView
    from sweeper.search.results import find_trial, load_results
    from sweeper.search.store import StudyStore
    from sweeper.study import load_study
    from sweeper.training.reproduction import reproduce as train_again

    spec = load_study(study, overrides or [])
    found = find_trial(load_results(StudyStore(spec, create=False)), trial)
    with RunView(progress_console()) as view:
        again = train_again(found.folder, lambda point: view.observe(point, found.tokens))
    show(verdict(found.number, again))
    if not again.is_same:
        raise typer.Exit(1)


def train(
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="A hyperparameter, such as learning_rate=1e-3; repeatable. Environment "
            "variables of the same names in capitals (LEARNING_RATE) count as well.",
        ),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option(help="A recipe.yaml with hyperparameters.", exists=True)
    ] = None,
    model: Annotated[str, typer.Option(envvar="MODEL", help="The base.")] = "builtin:tiny",
    data: Annotated[
        str, typer.Option(envvar="TRAINING_DATA", help="The corpus.")
    ] = "builtin:pydoc-qa",
    steps: Annotated[
        int | None, typer.Option(envvar="TRAINING_STEPS", min=1, help="Optimizer steps.")
    ] = None,
    tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens, instead of steps (default: 240000).")
    ] = None,
    block_size: Annotated[
        int | None, typer.Option(envvar="BLOCK_SIZE", help="Tokens per block.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(envvar="BATCH_SIZE", help="Blocks per forward pass.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(envvar="LEARNING_RATE", help="Peak learning rate.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads (default: one per core).")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the run; it resumes what lies there.")] = (
        Path("runs/train")
    ),
    manifest: Annotated[
        Path | None, typer.Option(help="Train exactly what this manifest.json records.")
    ] = None,
) -> None:
    """Train one recipe outside any study."""
    from sweeper.reports.endings import run_ending
    from sweeper.reports.live import RunView
    from sweeper.study import Hyperparameters, read_recipe, recipe_from
    from sweeper.training.record import is_command

    with RunView(progress_console()) as view:
        if manifest is not None and is_command(manifest):
            from sweeper.training.command_again import run_command_manifest

            outcome = run_command_manifest(manifest, observe=view.observe)
            folder = manifest.parent
        elif manifest is not None:
            from sweeper.training.single import train_manifest

            outcome = train_manifest(manifest, observe=view.observe, report=view.tell)
            folder = manifest.parent
        else:
            flags = {
                "block_size": block_size,
                "batch_size": batch_size,
                "learning_rate": learning_rate,
            }
            given = [f"{name}={value!r}" for name, value in flags.items() if value is not None]
            start = read_recipe(recipe) if recipe else Hyperparameters()
            chosen = recipe_from(start, [*given, *(settings or [])], os.environ)
            # After the recipe: a typing error should not wait for torch.
            from sweeper.training.single import RunOrder, train_recipe

            order = RunOrder(
                recipe=chosen,
                model=model,
                data=data,
                steps=steps,
                tokens=tokens,
                threads=threads,
            )
            outcome = train_recipe(order, out, observe=view.observe, report=view.tell)
            folder = out
    show(run_ending(outcome.curve, outcome.stop, Path(os.path.relpath(folder))))
    if outcome.stop.reason == "preempted":
        raise typer.Exit(130)
    if outcome.stop.reason != "completed" and manifest is None:
        raise typer.Exit(1)

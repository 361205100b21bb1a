"""`best/`: the winning trial in a form that anybody can use, with its recipe and manifest."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml

from sweeper.errors import CheckpointError
from sweeper.search.results import StudyResults, TrialResult
from sweeper.training.command_manifest import read_command_manifest, write_command_manifest

_CARD = """# {name}: the best recipe

Trial {number} of the study `{name}`: validation loss {val_loss:.4f} nats.

| file | what it is |
|---|---|
| `recipe.yaml` | the hyperparameters, by sweeper's names |
| `manifest.json` | the command, the variables that it was given, and the SHA-256 of its files |
| `curve.jsonl` | every point of its training |
| `output.log` | all that it wrote |

Whatever else the command saved lies where the command put it. To run it again by hand:

```sh
{line}
```
"""


def export_best(results: StudyResults) -> Path | None:
    """Write `best/` for the best completed trial, replacing an earlier one at once.

    Returns:
        The folder; None where no trial has completed.

    Raises:
        CheckpointError: What the trial left is not there, or another.
        BaseError: The base is not there any more.
    """
    best = results.best
    if best is None:
        return None
    source = best.folder if best.same_as is None else _folder_of(results, best.same_as)
    folder = results.folder / "best"
    unfinished = results.folder / ".best.tmp"
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        if results.spec.command is not None:
            _fill(unfinished, results, best, source)
        else:
            from sweeper.search.export_adapter import fill_with_adapter

            fill_with_adapter(unfinished, results, best, source)
        shutil.copyfile(source / "curve.jsonl", unfinished / "curve.jsonl")
    except FileNotFoundError as error:
        raise CheckpointError(
            f"best/ cannot be made: there is no {error.filename} (put back what the trial left "
            "there, or wait for the machine that has it; sweeper run makes it then)"
        ) from error
    (unfinished / "recipe.yaml").write_text(_recipe(results, best), "utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.replace(folder)
    return folder


def _folder_of(results: StudyResults, number: int) -> Path:
    return next(trial.folder for trial in results.trials if trial.number == number)


def _fill(unfinished: Path, results: StudyResults, best: TrialResult, source: Path) -> None:
    """A command's own: its output, and how to call it by hand."""
    unfinished.mkdir()
    shutil.copyfile(source / "output.log", unfinished / "output.log")
    manifest = read_command_manifest(source / "manifest.json")
    write_command_manifest(unfinished / "manifest.json", manifest.moved(source, unfinished))
    card = _CARD.format(
        name=results.spec.folder_name,
        number=best.number,
        val_loss=best.val_loss,
        line=manifest.plan.shell_line,
    )
    (unfinished / "README.md").write_text(card, "utf-8")


def _recipe(results: StudyResults, best: TrialResult) -> str:
    head = (
        f"# The best recipe of the study {results.spec.folder_name}: trial {best.number}, "
        f"validation loss {best.val_loss:.4f} nats.\n"
    )
    return head + yaml.safe_dump(dict(best.hyperparameters), sort_keys=False)

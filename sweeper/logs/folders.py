"""Folders that hold the log of a run: trials, trainers' outputs, TensorBoard's."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sweeper.errors import LogError
from sweeper.logs.json_table import read_trainer_state
from sweeper.logs.table import Table
from sweeper.logs.tensorboard import is_event_file

CURVE, STATE, METRICS = "curve.jsonl", "trainer_state.json", "metrics.csv"
ALLOWED_IN_FOLDERS = f"{CURVE}, {STATE} (also in checkpoint-*/), event files, {METRICS}"
_NUMBER = re.compile(r"\d+")


def find_log_file(folder: Path) -> Path | None:
    """The file of a trial or of a CSV logger in a folder, the newest version."""
    if (folder / CURVE).is_file():
        return folder / CURVE
    found = [folder / METRICS, *folder.glob(f"version_*/{METRICS}")]
    found += folder.glob(f"lightning_logs/version_*/{METRICS}")
    return max((path for path in found if path.is_file()), key=_version, default=None)


def _version(path: Path) -> int:
    numbers = _NUMBER.findall(path.parent.name)
    return int(numbers[-1]) if numbers else -1


def has_event_files(folder: Path) -> bool:
    """Whether TensorBoard would find something in a folder."""
    return any(is_event_file(path) for path in folder.iterdir() if path.is_file())


def find_event_folder(folder: Path) -> Path | None:
    """The folder itself, or the last below it, in which event files lie."""
    if has_event_files(folder):
        return folder
    below = sorted({path.parent for path in folder.rglob("*tfevents*") if path.is_file()})
    return below[-1] if below else None


def read_trainer_folder(source: str, folder: Path) -> Table | None:
    """The history of a trainer's output folder: its newest whole state, and older ones' starts.

    Returns:
        None where there is no `trainer_state.json`.

    Raises:
        LogError: There are some, and all are damaged.
    """
    paths = [p for p in (folder / STATE, *folder.glob(f"checkpoint-*/{STATE}")) if p.is_file()]
    if not paths:
        return None
    states, notes = _whole_states(folder, paths)
    if not states:
        raise LogError(f"{source}: every {STATE} in it is damaged ({'; '.join(notes)})")
    states.sort(key=lambda item: item.get("global_step") or 0)
    newest = states[-1]
    history = list(newest["log_history"])
    for state in reversed(states[:-1]):
        first = min((_step(item) for item in history), default=0)
        history = [item for item in state["log_history"] if _step(item) < first] + history
    table = read_trainer_state({**newest, "log_history": history})
    return replace(table, notes=tuple(notes))


def _whole_states(folder: Path, paths: Sequence[Path]) -> tuple[list[dict[str, Any]], list[str]]:
    states: list[dict[str, Any]] = []
    notes: list[str] = []
    for path in paths:
        name = path.relative_to(folder)
        try:
            value = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            notes.append(f"{name}: damaged, left out ({error})")
            continue
        if isinstance(value, dict) and isinstance(value.get("log_history"), list):
            value["log_history"] = [x for x in value["log_history"] if isinstance(x, dict)]
            states.append(value)
        else:
            notes.append(f"{name}: without log_history, left out")
    return states, notes


def _step(item: dict[str, Any]) -> float:
    step = item.get("step")
    return float(step) if isinstance(step, (int, float)) else 0.0

"""The files of a step checkpoint, held against their checksums; without torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STATE, TENSORS = "state.json", "tensors.safetensors"
MARKS = "marks.json"  # beside the checkpoints


@dataclass(frozen=True)
class CheckpointFiles:
    """A checkpoint that is whole.

    Attributes:
        state: How far the run is, without checksums.
        state_content: The file of it.
        tensors_content: The other file.
    """

    state: dict[str, Any]
    state_content: bytes
    tensors_content: bytes


def checkpoint_steps(folder: Path) -> list[int]:
    """Steps that have a checkpoint, ascending."""
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())


def last_good_step(folder: Path) -> int | None:
    """The step of the checkpoint kept from before a spike; None where none was marked."""
    step = read_marks(folder).get("last_good_step")
    return step if isinstance(step, int) else None


def read_marks(folder: Path) -> dict[str, object]:
    """What is marked among checkpoints; damaged marks are as good as none.

    While a spike lasts, they are written anew.
    """
    try:
        marks = json.loads((folder / MARKS).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return marks if isinstance(marks, dict) else {}


def read_checkpoint_files(folder: Path) -> CheckpointFiles:
    """Read a checkpoint's files.

    Raises:
        OSError: They cannot be read.
        ValueError: They are damaged.
        KeyError: Likewise.
        TypeError: Likewise.
        RecursionError: Likewise.
    """
    state_content = (folder / STATE).read_bytes()
    state = dict(json.loads(state_content))
    own = state.pop("state_sha256", None)  # earlier versions left it out
    if own is not None and own != digest_of_state(state):
        raise ValueError("its state does not match its SHA-256")
    tensors_content = (folder / TENSORS).read_bytes()
    if hashlib.sha256(tensors_content).hexdigest() != state["sha256"]:
        raise ValueError("its tensors do not match their SHA-256")
    del state["sha256"]
    return CheckpointFiles(state, state_content, tensors_content)


def digest_of_state(state: dict[str, Any]) -> str:
    """A flipped digit is still a number: without this, a run would go on from a wrong step."""
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()

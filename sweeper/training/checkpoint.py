"""Step checkpoints: whole or not at all, checked before use, the last good one kept.

A folder per checkpoint, named by its step:

    checkpoint/000120/tensors.safetensors   adapter, optimizer, generators
    checkpoint/000120/state.json            step, tokens, …, the tensors' SHA-256 and its own
    checkpoint/marks.json                   which one is the last good, which follow a spike
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as dump_tensors

from sweeper.errors import CheckpointError
from sweeper.files import sync_folder, write_durably
from sweeper.training.checkpoint_files import (
    MARKS,
    STATE,
    TENSORS,
    checkpoint_steps,
    digest_of_state,
    last_good_step,
    read_checkpoint_files,
    read_marks,
)

_DAMAGE = (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError)
_KEPT = 2  # the newest, and the one before it in case the newest is damaged


@dataclass(frozen=True)
class Progress:
    """How far a run is; with the engine's tensors, all that a resumed run needs.

    Attributes:
        step: Optimizer steps done.
        tokens: Tokens seen; the position in the token stream.
        seconds: Training seconds spent, evaluation left out.
        micro_batch: Blocks per forward pass, after any halving.
        curve_points: Lines of `curve.jsonl` that belong to these steps.
    """

    step: int
    tokens: int
    seconds: float
    micro_batch: int
    curve_points: int


class CheckpointFolder:
    """The checkpoints of one trial.

    Args:
        folder: Made on the first save.
        warn: Told, in words, when a damaged checkpoint is passed over.
    """

    def __init__(self, folder: Path, warn: Callable[[str], None] = lambda _: None) -> None:
        self._folder = folder
        self._warn = warn

    def save(self, progress: Progress, tensors: dict[str, torch.Tensor]) -> None:
        """Write a checkpoint durably, then drop the ones that are not needed any more."""
        name = f"{progress.step:06d}"
        temporary = self._folder / f".{name}.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        content = dump_tensors({key: value.contiguous() for key, value in tensors.items()})
        write_durably(temporary / TENSORS, content)
        state = {**asdict(progress), "sha256": hashlib.sha256(content).hexdigest()}
        state["state_sha256"] = digest_of_state(state)
        write_durably(temporary / STATE, json.dumps(state, indent=2).encode())
        target = self._folder / name
        if target.exists():  # the same step again, after a resume
            shutil.rmtree(target)
        temporary.replace(target)
        sync_folder(self._folder)
        self._drop_old()

    def load(self) -> tuple[Progress, dict[str, torch.Tensor]]:
        """The newest checkpoint that is whole.

        Raises:
            CheckpointError: There is none, or every one is damaged.
        """
        damage = "there is none"
        for step in reversed(self.steps()):
            try:
                return self._read(step)
            except _DAMAGE as error:
                damage = f"{step:06d}: {error}"
                self._warn(f"checkpoint {damage}; going back to the one before")
        raise CheckpointError(
            f"{self._folder}: no checkpoint can be used ({damage}). "
            "Remove this folder to train the trial from its start"
        )

    def load_until(self, step: int) -> tuple[Progress, dict[str, torch.Tensor]] | None:
        """The newest whole checkpoint of at most so many steps; None where there is none."""
        for kept in reversed(self.steps()):
            if kept <= step:
                with suppress(*_DAMAGE):
                    return self._read(kept)
        return None

    def _read(self, step: int) -> tuple[Progress, dict[str, torch.Tensor]]:
        files = read_checkpoint_files(self._folder / f"{step:06d}")
        return Progress(**files.state), load_tensors(files.tensors_content)

    def steps(self) -> list[int]:
        """Steps that have a checkpoint, ascending."""
        return checkpoint_steps(self._folder)

    def last_good_step(self) -> int | None:
        """The step of the checkpoint kept from before a spike; None where none was marked."""
        return last_good_step(self._folder)

    def mark_spike(self, start_step: int) -> None:
        """Keep the newest checkpoint from before a spike, and mark those after it."""
        before = [step for step in self.steps() if step < start_step]
        after = [step for step in self.steps() if step >= start_step]
        marks = {
            "last_good_step": before[-1] if before else None,
            "spike_start_step": start_step,
            "after_spike_steps": after,
        }
        if marks != read_marks(self._folder) and self._folder.is_dir():
            write_durably(self._folder / MARKS, json.dumps(marks, indent=2).encode())

    def clear_marks(self) -> None:
        """The curve recovered: every checkpoint is as good as another again."""
        (self._folder / MARKS).unlink(missing_ok=True)

    def _drop_old(self) -> None:
        kept = set(self.steps()[-_KEPT:])
        if (good := self.last_good_step()) is not None:
            kept.add(good)
        for step in self.steps():
            if step not in kept:
                shutil.rmtree(self._folder / f"{step:06d}")

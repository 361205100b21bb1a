"""Bytes that flipped on the disk."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from sweeper.errors import CheckpointError
from sweeper.search.export import export_best
from sweeper.search.results import load_results
from sweeper.search.storage import trial_folder
from sweeper.search.store import StudyStore
from sweeper.study import StudySpec
from tests.faults.crew import finish, prepared, wait_for, worker
from tests.faults.field import Field
from tests.faults.ground import EVERY_TOKENS, trained_study
from tests.faults.invariants import Examination
from tests.faults.tally import Tally, hold


def flip_checkpoint(field: Field, strikes: int) -> Tally:
    """A bit of the newest checkpoint, be it tensors or state: the run goes back to the one before.

    A trial has no other checkpoint before its second rung; so it is struck after that one.
    """
    random = Random(strikes)
    whole = field.whole(trained_study)
    tally = Tally()
    while tally.strikes < strikes:
        spec = field.struck(trained_study, tally.studies, 2)
        order = prepared(spec)
        with worker(order) as victim:
            wait_for(lambda spec=spec: len(_checkpoints(spec)) > 1, poll_s=0.001)
            victim.kill()
        checkpoints = _checkpoints(spec)
        if len(checkpoints) > 1:  # else the trial had ended first, and dropped them
            flip(random.choice(sorted(checkpoints[-1].iterdir())), random)
            tally.strikes += 1
        finish(order)
        hold(tally, Examination(spec, whole))
    return tally


def _checkpoints(spec: StudySpec) -> list[Path]:
    """Whole checkpoints of the first trial in training that has any."""
    folders = [
        sorted(path for path in folder.iterdir() if path.name.isdecimal())
        for folder in spec.output_folder.glob("trials/*/checkpoint")
        if folder.is_dir()
    ]
    return next(filter(None, folders), [])


def flip_adapter(field: Field, strikes: int) -> Tally:
    """A bit of the best adapter: such a one is not handed on."""
    random = Random(strikes)
    spec = field.struck(trained_study, 0, 2)
    finish(prepared(spec))
    results = load_results(StudyStore(spec, create=False))
    assert results.best is not None
    adapter = trial_folder(spec, results.best.number) / "adapter" / "adapter_model.safetensors"
    sound = adapter.read_bytes()
    export_best(results)
    tally = Tally(strikes=strikes)
    for _ in range(strikes):
        flip(adapter, random)
        with pytest.raises(CheckpointError, match="SHA-256 differs"):
            export_best(results)
        adapter.write_bytes(sound)
    exported = export_best(results)
    assert exported is not None
    assert (exported / adapter.name).read_bytes() == sound
    hold(tally, Examination(spec, field.whole(trained_study)))
    return tally


def flip(path: Path, random: Random) -> None:
    """Flip one bit of a file."""
    content = bytearray(path.read_bytes())
    content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    path.write_bytes(content)
    os.sync()


def cut_curve(field: Field, strikes: int) -> Tally:
    """A curve cut in its last line, as a crash leaves it: the line is written anew."""
    whole = field.whole(trained_study)
    tally = Tally()
    while tally.strikes < strikes:
        spec = field.struck(trained_study, tally.studies, 2)
        order = prepared(spec)
        curve = trial_folder(spec, 0) / "curve.jsonl"
        with worker(order) as victim:
            wait_for(lambda curve=curve: curve.is_file() and curve.stat().st_size > 300)
            struck = victim.kill()
        lines = curve.read_bytes().splitlines(keepends=True)
        if struck and len(lines) <= TRAINED_LINES:
            with curve.open("ab") as file:
                file.write(lines[-1][: len(lines[-1]) // 2])
            tally.strikes += 1
        finish(order)
        hold(tally, Examination(spec, whole))
    return tally


TRAINED_LINES = 4 * EVERY_TOKENS // 16  # all but the last of a trial's lines

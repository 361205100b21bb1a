"""Checkpoints on their own: what is kept, what is passed over, what is marked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from sweeper.errors import CheckpointError
from sweeper.training.checkpoint import CheckpointFolder, Progress


def progress(step: int) -> Progress:
    return Progress(step=step, tokens=64 * step, seconds=0.1, micro_batch=4, curve_points=step + 1)


def tensors(step: int) -> dict[str, torch.Tensor]:
    odd = torch.tensor([float(step), float("nan"), -0.0, 1e-42])
    return {
        "weight/a": odd,
        "transposed": torch.arange(6.0).reshape(2, 3).T + step,
        "generator/cpu": torch.arange(9, dtype=torch.uint8),
    }


def save(folder: Path, *steps: int) -> CheckpointFolder:
    checkpoints = CheckpointFolder(folder)
    for step in steps:
        checkpoints.save(progress(step), tensors(step))
    return checkpoints


def test_saved_is_loaded_bit_for_bit(tmp_path: Path) -> None:
    found, loaded = save(tmp_path, 7).load()
    assert found == progress(7)
    expected = tensors(7)
    assert loaded.keys() == expected.keys()
    for name, tensor in expected.items():
        assert loaded[name].dtype == tensor.dtype
        assert loaded[name].numpy().tobytes() == tensor.contiguous().numpy().tobytes()


def test_newest_and_the_one_before_are_kept(tmp_path: Path) -> None:
    checkpoints = save(tmp_path, 0, 5, 10, 1_000_000, 999_999)
    assert checkpoints.steps() == [999_999, 1_000_000]
    assert checkpoints.load()[0].step == 1_000_000


def test_same_step_again_replaces_the_old_one(tmp_path: Path) -> None:
    checkpoints = save(tmp_path, 5)
    checkpoints.save(progress(5), {"only": torch.ones(1)})
    assert list(checkpoints.load()[1]) == ["only"]


def test_leftovers_of_a_killed_save_are_no_checkpoint(tmp_path: Path) -> None:
    checkpoints = save(tmp_path, 5)
    (tmp_path / ".000010.tmp").mkdir()
    (tmp_path / ".000010.tmp" / "tensors.safetensors").write_bytes(b"half")
    assert checkpoints.steps() == [5]
    checkpoints.save(progress(10), tensors(10))
    assert checkpoints.load()[0].step == 10
    assert not (tmp_path / ".000010.tmp").exists()


@pytest.mark.parametrize(
    "state", ["", "{", "[]", "3", "{}", '{"step": 9}', '{"sha256": "00"}', "\x00" * 40]
)
def test_damaged_state_falls_back_and_says_so(tmp_path: Path, state: str) -> None:
    save(tmp_path, 5, 10)
    (tmp_path / "000010" / "state.json").write_text(state)
    said: list[str] = []
    assert CheckpointFolder(tmp_path, said.append).load()[0].step == 5
    assert ["checkpoint 000010" in line for line in said] == [True]


@pytest.mark.parametrize("place", [0, 20, -1])
def test_any_flipped_byte_of_the_tensors_is_found(tmp_path: Path, place: int) -> None:
    checkpoints = save(tmp_path, 5, 10)
    path = tmp_path / "000010" / "tensors.safetensors"
    content = bytearray(path.read_bytes())
    content[place] ^= 0x10
    path.write_bytes(content)
    assert checkpoints.load()[0].step == 5


def test_any_flipped_bit_of_the_state_is_found_or_changes_nothing(tmp_path: Path) -> None:
    checkpoints = save(tmp_path, 5, 10)
    path = tmp_path / "000010" / "state.json"
    content = path.read_bytes()
    found = set()
    for place in range(len(content)):
        for bit in range(8):
            flipped = bytearray(content)
            flipped[place] ^= 1 << bit
            path.write_bytes(flipped)
            found.add(checkpoints.load()[0])
    assert found <= {progress(5), progress(10)}


def test_a_state_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    checkpoints = save(tmp_path, 5)
    path = tmp_path / "000005" / "state.json"
    state = json.loads(path.read_bytes())
    del state["state_sha256"]
    path.write_text(json.dumps(state))
    assert checkpoints.load()[0] == progress(5)


@pytest.mark.parametrize("marks", ["", "{", "[]", "3", "\x00", "\xff", "[" * 100_000])
def test_damaged_marks_are_as_good_as_none_and_written_anew(tmp_path: Path, marks: str) -> None:
    checkpoints = save(tmp_path, 5, 10)
    checkpoints.mark_spike(start_step=7)
    (tmp_path / "marks.json").write_bytes(marks.encode("latin-1"))
    assert checkpoints.last_good_step() is None
    checkpoints.mark_spike(start_step=7)
    assert checkpoints.last_good_step() == 5


def test_no_checkpoint_is_an_error_with_the_next_step(tmp_path: Path) -> None:
    missing = CheckpointFolder(tmp_path / "missing")
    assert missing.steps() == []
    with pytest.raises(CheckpointError, match=r"there is none.*Remove this folder"):
        missing.load()


def test_spike_keeps_the_newest_checkpoint_from_before_it(tmp_path: Path) -> None:
    checkpoints = save(tmp_path, 5, 10)
    assert checkpoints.last_good_step() is None
    checkpoints.mark_spike(start_step=10)
    assert checkpoints.last_good_step() == 5
    for step in (15, 20, 25):
        checkpoints.save(progress(step), tensors(step))
        checkpoints.mark_spike(start_step=10)
    assert checkpoints.steps() == [5, 20, 25]
    marks = json.loads((tmp_path / "marks.json").read_text())
    assert marks["after_spike_steps"] == [20, 25]


def test_spike_before_any_checkpoint_names_none(tmp_path: Path) -> None:
    checkpoints = save(tmp_path, 5, 10)
    checkpoints.mark_spike(start_step=2)
    assert checkpoints.last_good_step() is None


def test_recovery_clears_the_marks(tmp_path: Path) -> None:
    checkpoints = save(tmp_path, 5, 10)
    checkpoints.mark_spike(start_step=7)
    checkpoints.clear_marks()
    assert checkpoints.last_good_step() is None
    checkpoints.save(progress(15), tensors(15))
    assert checkpoints.steps() == [10, 15]


def test_marks_without_checkpoints_write_nothing(tmp_path: Path) -> None:
    checkpoints = CheckpointFolder(tmp_path / "missing")
    checkpoints.mark_spike(start_step=3)
    checkpoints.clear_marks()
    assert not (tmp_path / "missing").exists()

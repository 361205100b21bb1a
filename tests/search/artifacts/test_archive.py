"""An archive of a trial's files: what travels, and what is refused."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
import torch

from sweeper.curves import Point, write_curve
from sweeper.search.artifacts.archive import DamagedArchive, newest_checkpoint, pack, unpack
from sweeper.training.checkpoint import CheckpointFolder, Progress
from sweeper.training.lost import Lost, add_lost, read_lost


def trial(folder: Path, *steps: int) -> Path:
    """A trial's folder with checkpoints, a curve and more than travels."""
    folder.mkdir()
    write_curve(folder / "curve.jsonl", [Point(n, n * 10, seconds=1.0 * n) for n in range(9)])
    (folder / "manifest.json").write_text("{}")
    (folder / "notes.txt").write_text("the user's own")
    add_lost(folder, Lost(40, 4.0))
    for step in steps:
        CheckpointFolder(folder / "checkpoint").save(
            Progress(step, step * 10, 1.0, 4, step + 1), {"weight": torch.full((3,), step * 1.0)}
        )
    (folder / "adapter").mkdir()
    (folder / "adapter" / "adapter_config.json").write_text("{}")
    return folder


def packed(folder: Path, *, has_ended: bool = False) -> io.BytesIO:
    file = io.BytesIO()
    pack(folder, file, has_ended=has_ended)
    file.seek(0)
    return file


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def tar_of(*entries: tuple[tarfile.TarInfo, bytes]) -> io.BytesIO:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for entry, content in entries:
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    file.seek(0)
    return file


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_who_goes_on_gets_the_newest_checkpoint_and_the_curve_to_the_bit(tmp_path: Path) -> None:
    here, there = trial(tmp_path / "here", 4, 8), tmp_path / "there"
    unpack(packed(here), there)
    assert files(there) == {
        "curve.jsonl",
        "lost.jsonl",
        "manifest.json",
        "checkpoint/000008/state.json",
        "checkpoint/000008/tensors.safetensors",
    }
    assert all((there / name).read_bytes() == (here / name).read_bytes() for name in files(there))
    progress, tensors = CheckpointFolder(there / "checkpoint").load()
    assert (progress.step, tensors["weight"].tolist()) == (8, [8.0] * 3)
    assert read_lost(there) == Lost(40, 4.0)


def test_of_an_ended_trial_the_adapter_travels_and_the_checkpoint_from_before_its_spike(
    tmp_path: Path,
) -> None:
    here, there = trial(tmp_path / "here", 2, 4), tmp_path / "there"
    CheckpointFolder(here / "checkpoint").mark_spike(4)
    unpack(packed(here, has_ended=True), there)
    assert "adapter/adapter_config.json" in files(there)
    assert CheckpointFolder(there / "checkpoint").steps() == [2]
    assert CheckpointFolder(there / "checkpoint").last_good_step() == 2


def test_a_damaged_checkpoint_does_not_travel(tmp_path: Path) -> None:
    here, there = trial(tmp_path / "here", 4, 8), tmp_path / "there"
    tensors = here / "checkpoint" / "000008" / "tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1] + b"\x01")
    unpack(packed(here), there)
    assert newest_checkpoint(there) == 4


def test_half_a_line_of_a_curve_that_is_being_written_stays(tmp_path: Path) -> None:
    here, there = trial(tmp_path / "here"), tmp_path / "there"
    whole = (here / "curve.jsonl").read_bytes()
    (here / "curve.jsonl").write_bytes(whole + b'{"step": 9, "tok')
    unpack(packed(here), there)
    assert (there / "curve.jsonl").read_bytes() == whole


def test_it_takes_the_place_of_an_older_state_whole(tmp_path: Path) -> None:
    here, there = trial(tmp_path / "here", 8), trial(tmp_path / "there", 2, 4)
    unpack(packed(here), there)
    assert newest_checkpoint(there) == 8
    assert "checkpoint/000004/state.json" not in files(there)
    assert {path.name for path in tmp_path.iterdir()} == {"here", "there"}


ATTACKS = {
    "escape": entry("../escaped.json"),
    "deep escape": entry("checkpoint/../../escaped.json"),
    "absolute": entry("/tmp/escaped.json"),
    "unknown": entry("sitecustomize.py"),
    "hidden": entry("adapter/.profile"),
    "in a folder": entry("adapter/deep/er.json"),
    "line break": entry("manifest.json\n"),
    "link": entry("manifest.json", tarfile.SYMTYPE, "/etc/passwd"),
    "hard link": entry("manifest.json", tarfile.LNKTYPE, "../../study.db"),
    "folder that is a link": entry("checkpoint", tarfile.SYMTYPE, ".."),
    "pipe": entry("curve.jsonl", tarfile.FIFOTYPE),
    "device": entry("curve.jsonl", tarfile.CHRTYPE),
    "folder": entry("adapter", tarfile.DIRTYPE),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
def test_what_does_not_belong_there_is_refused_and_nothing_is_touched(
    attack: tarfile.TarInfo, tmp_path: Path
) -> None:
    there = trial(tmp_path / "there", 4)
    before = {name: (there / name).read_bytes() for name in files(there)}
    archive = tar_of((entry("error.txt"), b"first"), (attack, b""))
    with pytest.raises(DamagedArchive, match=r"no plain file|no file that a trial"):
        unpack(archive, there)
    assert {name: (there / name).read_bytes() for name in files(there)} == before
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    twice = tar_of((entry("error.txt"), b"one"), (entry("error.txt"), b"two"))
    with pytest.raises(DamagedArchive, match="twice"):
        unpack(twice, tmp_path / "there")


@pytest.mark.parametrize("kept", [0, 10, 700, 1100])
def test_an_archive_that_is_cut_off_is_refused(kept: int, tmp_path: Path) -> None:
    whole = packed(trial(tmp_path / "here", 8)).getvalue()
    with pytest.raises(DamagedArchive):
        unpack(io.BytesIO(whole[:kept]), tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_what_is_compressed_is_refused(tmp_path: Path) -> None:
    """A small archive must not become a large one."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        tar.addfile(entry("error.txt"), io.BytesIO(b""))
    file.seek(0)
    with pytest.raises(DamagedArchive):
        unpack(file, tmp_path / "there")


def test_a_curve_that_nobody_could_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DamagedArchive, match="curve"):
        unpack(tar_of((entry("curve.jsonl"), b'{"step": 0}\n')), tmp_path / "there")

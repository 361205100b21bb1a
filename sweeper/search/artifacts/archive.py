"""A trial's files as one archive: an uncompressed tar of fixed names, and nothing else.

Packed while somebody may be training in the folder; unpacked as if an enemy had packed it.
"""

from __future__ import annotations

import errno
import io
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

from sweeper.curves import point_from_json
from sweeper.files import sync_file, sync_folder
from sweeper.training.checkpoint_files import (
    MARKS,
    STATE,
    TENSORS,
    checkpoint_steps,
    last_good_step,
    read_checkpoint_files,
)
from sweeper.training.lost import LOST_FILE

_CURVE = "curve.jsonl"
# The curve before what it has lost: a run that is resumed writes that down first, and then cuts.
_FIRST, _LATER = (_CURVE,), (LOST_FILE, "manifest.json", "crashes.log", "error.txt", "output.log")
_CHECKPOINT, _ADAPTER = "checkpoint", "adapter"
_LONGEST_LOG = 1 << 20  # bytes of it that travel, the last
_NAME = re.compile(
    "|".join(
        (
            *map(re.escape, (*_FIRST, *_LATER, f"{_CHECKPOINT}/{MARKS}")),
            rf"{_CHECKPOINT}/\d{{6,12}}/(?:{re.escape(STATE)}|{re.escape(TENSORS)})",
            rf"{_ADAPTER}/[A-Za-z0-9_][A-Za-z0-9_.-]{{0,100}}",
        )
    )
)
_DAMAGE = (OSError, ValueError, KeyError, TypeError, RecursionError)


class DamagedArchive(Exception):
    """An archive that is not what it should be, in words."""


def newest_checkpoint(folder: Path) -> int:
    """The step of a trial's newest checkpoint; -1 where there is none."""
    steps = checkpoint_steps(folder / _CHECKPOINT)
    return steps[-1] if steps else -1


def pack(folder: Path, target: IO[bytes], *, has_ended: bool) -> int:
    """Write a trial's files to an archive: what another worker needs to go on, or to report.

    Args:
        folder: The trial's; somebody may be training in it.
        target: Gets the archive.
        has_ended: Nobody will go on: the newest checkpoint stays, that from before a spike and
            the adapter travel.

    Returns:
        The step of the newest checkpoint in it; -1 without one.
    """
    newest = -1
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for step in _steps(folder, has_ended):
            with suppress(*_DAMAGE):  # dropped while we read, or damaged: of no use to anybody
                name = f"{_CHECKPOINT}/{step:06d}"
                files = read_checkpoint_files(folder / name)
                _add(tar, f"{name}/{TENSORS}", files.tensors_content)
                _add(tar, f"{name}/{STATE}", files.state_content)
                newest = max(newest, step)
        for name in (f"{_CHECKPOINT}/{MARKS}", *_FIRST, *_LATER):
            with suppress(OSError):
                content = (folder / name).read_bytes()
                _add(tar, name, _whole_lines(content) if name == _CURVE else _tail(name, content))
        if has_ended and (folder / _ADAPTER).is_dir():
            for path in sorted((folder / _ADAPTER).iterdir()):
                if _NAME.fullmatch(f"{_ADAPTER}/{path.name}") and path.is_file():
                    _add(tar, f"{_ADAPTER}/{path.name}", path.read_bytes())
    return newest


def _steps(folder: Path, has_ended: bool) -> list[int]:
    """The checkpoints that travel: that from before a spike, and the newest that is whole where
    the trial goes on.
    """
    steps = checkpoint_steps(folder / _CHECKPOINT)
    good = last_good_step(folder / _CHECKPOINT)
    kept = [step for step in steps if step == good]
    for step in [] if has_ended else reversed(steps):
        with suppress(*_DAMAGE):
            read_checkpoint_files(folder / _CHECKPOINT / f"{step:06d}")
            return sorted({*kept, step})
    return kept


def _whole_lines(content: bytes) -> bytes:
    return content[: content.rfind(b"\n") + 1]


def _tail(name: str, content: bytes) -> bytes:
    return content[-_LONGEST_LOG:] if name.endswith((".log", ".txt")) else content


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def unpack(archive: IO[bytes], folder: Path) -> None:
    """Put an archive's files in the place of a trial's folder, all of them or none.

    Raises:
        DamagedArchive: It is no such archive, or has in it what does not belong there.
        OSError: The disk is full, or the folder cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=".tmp")
    incoming = Path(beside) / "new"
    try:
        incoming.mkdir()
        _extract(archive, incoming)
        _check_curve(incoming / _CURVE)
        _exchange(incoming, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _extract(archive: IO[bytes], folder: Path) -> None:
    seen: set[str] = set()
    _check_end(archive)
    try:
        with tarfile.open(fileobj=archive, mode="r:") as tar:
            for entry in tar:
                if not entry.isreg():
                    raise DamagedArchive(f"{entry.name!r} in it is no plain file")
                if not _NAME.fullmatch(entry.name):
                    raise DamagedArchive(f"{entry.name!r} is no file that a trial leaves")
                if entry.name in seen or entry.sparse is not None:
                    raise DamagedArchive(f"{entry.name!r} in it is twice there, or has holes")
                seen.add(entry.name)
                _write(folder / entry.name, tar.extractfile(entry), entry.size)
    except (tarfile.TarError, ValueError, EOFError, OverflowError) as error:
        raise DamagedArchive(f"it cannot be read ({error})") from error


def _check_end(archive: IO[bytes]) -> None:
    """Two blocks of zeros; tarfile would take a cut between two entries for the end."""
    size = archive.seek(0, io.SEEK_END)
    archive.seek(max(size - 2 * tarfile.BLOCKSIZE, 0))
    if archive.read() != bytes(2 * tarfile.BLOCKSIZE):
        raise DamagedArchive("its end is missing")
    archive.seek(0)


def _write(path: Path, content: IO[bytes] | None, size: int) -> None:
    assert content is not None, "plain files have a content"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        shutil.copyfileobj(content, file)
        if file.tell() != size:
            raise DamagedArchive(f"{path.name!r} in it is cut off")
    sync_file(path)


def _check_curve(path: Path) -> None:
    """A curve that cannot be read would end the study, whose own folder it would then seem."""
    if not path.is_file():
        return
    try:
        for line in path.read_text("utf-8").splitlines():
            point_from_json(line)
    except (ValueError, TypeError) as error:
        raise DamagedArchive(f"its curve cannot be read ({error})") from error


def _exchange(incoming: Path, folder: Path) -> None:
    """Between the two renames the folder is missing, and then it is fetched again."""
    for path in _folders(incoming):
        sync_folder(path)
    if folder.exists():
        folder.replace(incoming.with_name("old"))
    try:
        incoming.replace(folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return  # another process was fetching it too
    sync_folder(folder.parent)


def _folders(folder: Path) -> Iterator[Path]:
    yield folder
    yield from (path for path in folder.rglob("*") if path.is_dir())

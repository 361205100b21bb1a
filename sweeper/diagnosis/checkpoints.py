"""Checkpoints in a folder, told by their names: nothing is opened."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sweeper.errors import UsageError

_SUFFIXES = frozenset(
    {".pt", ".pth", ".ckpt", ".bin", ".safetensors", ".npz", ".tar", ".gz", ".zip"}
)
# A word that says `step`, then the number; the last such word in the name counts.
_STEP_WORD = re.compile(
    r"(?:^|[^a-z])(?:global[_-]?step|steps?|iter(?:ation)?s?|it)[ _=-]*0*(\d+)(?![\d.]*\d)", re.I
)
_CHECKPOINT_WORD = re.compile(
    r"(?:^|[^a-z])(?:checkpoint|ckpt|model|adapter)[ _=-]+(\d+)(?:[_-][a-z]+)*$", re.I
)
_BARE_NUMBER = re.compile(r"(\d+)$")
_MOST_STEP_DIGITS = 9  # longer numbers are dates and hashes
_STEP_INSIDE = re.compile(r"step(\d+)", re.I)
_DATE = re.compile(r"(?:19|20)\d\d[01]\d[0-3]\d|[01]\d[0-3]\d(?:19|20)\d\d")


@dataclass(frozen=True)
class FoundCheckpoints:
    """What lies in a folder of checkpoints.

    Attributes:
        steps: Step and name of each, in the order of the steps, then of the names.
        without_step: Names that look like checkpoints and tell no step, such as `best.pt`.
    """

    steps: tuple[tuple[int, str], ...]
    without_step: tuple[str, ...] = ()


def find_checkpoints(folder: Path) -> FoundCheckpoints:
    """List the checkpoints of a folder by name; folders such as `checkpoint-1500` among them.

    Raises:
        UsageError: There is no such folder.
    """
    try:
        entries = sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError as error:
        raise UsageError(
            f"--checkpoints {folder}: cannot be listed ({error.strerror}); name a folder that "
            "holds checkpoints"
        ) from error
    named = [(step_of(entry.name), entry.name) for entry in _candidates(entries)]
    return FoundCheckpoints(
        tuple(sorted((step, name) for step, name in named if step is not None)),
        tuple(name for step, name in named if step is None),
    )


def _candidates(entries: list[Path]) -> Iterator[Path]:
    """Files with a suffix of weights, and folders whose name tells a step."""
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            if step_of(entry.name) is not None:
                yield entry
        elif entry.suffix.lower() in _SUFFIXES:
            yield entry


def step_of(name: str) -> int | None:
    """The step that a checkpoint's name tells; None where it tells none.

    Dates, times and losses in a name are not taken for steps: a number counts if a word such as
    `step` or `iter` stands before it, if it ends a name such as `checkpoint-1500`, or if it is the
    whole name.
    """
    stem = name
    while (suffix := Path(stem).suffix.lower()) in _SUFFIXES:
        stem = stem[: -len(suffix)]
    words = _STEP_WORD.findall(stem) or _STEP_INSIDE.findall(stem)
    if words:
        return _plausible(words[-1])
    match = _CHECKPOINT_WORD.search(stem) or _BARE_NUMBER.match(stem)
    return None if not match or _DATE.fullmatch(match[1]) else _plausible(match[1])


def _plausible(digits: str) -> int | None:
    return int(digits) if len(digits.lstrip("0")) <= _MOST_STEP_DIGITS else None

"""TensorBoard event files as tables, by TensorBoard's own reader (extra `tensorboard`)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sweeper.errors import LogError
from sweeper.logs.table import Table, columns_of
from sweeper.logs.values import Cell

WALL = "timestamp"


def is_event_file(path: Path) -> bool:
    """Whether a file is one of TensorBoard's, by its name."""
    return "tfevents" in path.name


def read_event_files(source: str, path: Path) -> Table:
    """Read the scalars of an event file, or of all in a folder.

    Raises:
        LogError: TensorBoard is not installed, or there are no scalars.
    """
    rows: dict[int, dict[str, Cell]] = {}
    for tag, step, wall_time, value in _scalars(source, path):
        row = rows.setdefault(step, {"step": step})
        row[tag] = value
        row[WALL] = wall_time
    if not rows:
        raise LogError(
            f"{source}: no scalars in these event files (allowed: files that SummaryWriter's "
            "add_scalar wrote)"
        )
    steps = sorted(rows)
    records = [rows[step] for step in steps]
    return Table(
        "TensorBoard events", range(1, len(steps) + 1), columns_of(records), place="record"
    )


def _scalars(source: str, path: Path) -> Iterator[tuple[str, int, float, float]]:
    """Tag, step, clock time and value of every scalar, of the old make and the new."""
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        from tensorboard.util.tensor_util import make_ndarray
    except ImportError as error:
        raise LogError(
            f"{source}: TensorBoard's event files need the package tensorboard "
            "(pip install 'sweeper[tensorboard]')"
        ) from error
    events = EventAccumulator(str(path), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    tags = events.Tags()
    for tag in tags["scalars"]:
        for event in events.Scalars(tag):
            yield tag, event.step, event.wall_time, event.value
    for tag in tags["tensors"]:
        if events.SummaryMetadata(tag).plugin_data.plugin_name == "scalars":
            for event in events.Tensors(tag):
                yield tag, event.step, event.wall_time, float(make_ndarray(event.tensor_proto))

"""Where a run of our own keeps what a diagnosis reads."""

from __future__ import annotations

from pathlib import Path

MANIFEST = "manifest.json"
CURVE = "curve.jsonl"


def trial_folder(log: Path | None) -> Path | None:
    """The folder of the run of ours that a log belongs to; None for any other log.

    Args:
        log: A run's folder, or the curve in it.
    """
    if log is None:
        return None
    folder = log if log.is_dir() else log.parent
    is_curve = log.is_dir() or log.name == CURVE
    is_ours = is_curve and (folder / MANIFEST).is_file() and (folder / CURVE).is_file()
    return folder if is_ours else None

"""Trains a recorded run again, in a fresh process and from its manifest alone."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sweeper.curves import Point, read_curve
from sweeper.curves.comparison import DEFAULT_TOLERANCE_NATS, Comparison, Sameness, compare_curves
from sweeper.curves.curve import last_point
from sweeper.errors import CheckpointError, SweeperError
from sweeper.training.record import read_record

POLL_SECONDS = 0.5

Observe = Callable[[Point], None]


@dataclass(frozen=True)
class Reproduction:
    """What came of training a run again.

    Attributes:
        comparison: Its curve against the recorded one.
        changed: Fingerprints that differ from the recorded ones, a line each.
        expected_val_loss: The recorded validation loss, in nats.
        found_val_loss: The new one.
    """

    comparison: Comparison
    changed: tuple[str, ...]
    expected_val_loss: float | None
    found_val_loss: float | None

    @property
    def is_same(self) -> bool:
        """Whether the recorded result came again, bit for bit or within the tolerance."""
        return self.comparison.sameness is not Sameness.FAIL


def reproduce(
    folder: Path, observe: Observe, tolerance_nats: float = DEFAULT_TOLERANCE_NATS
) -> Reproduction:
    """Train the run of a folder again and compare every point of its curve.

    Args:
        folder: Holds the run's `manifest.json` and `curve.jsonl`.
        observe: Shown the newest point now and then.
        tolerance_nats: Largest difference of a loss that is still the same result.

    Raises:
        CheckpointError: The folder's files are missing or damaged.
        SweeperError: The new run failed; the message is its own.
    """
    recorded = read_record(folder / "manifest.json")
    if not (folder / "curve.jsonl").is_file():
        raise CheckpointError(f"{folder.name}: there is no curve.jsonl to compare with")
    expected = read_curve(folder / "curve.jsonl")
    # Beside the original: the manifest's paths are relative to a folder of this depth.
    with tempfile.TemporaryDirectory(prefix=".again-", dir=folder.parent) as name:
        again = Path(name)
        shutil.copyfile(folder / "manifest.json", again / "manifest.json")
        _train_again(again, observe)
        found = read_curve(again / "curve.jsonl")
        now = read_record(again / "manifest.json")
    return Reproduction(
        comparison=compare_curves(expected, found, tolerance_nats),
        changed=tuple(recorded.differences(now)),
        expected_val_loss=expected.last_val_loss,
        found_val_loss=found.last_val_loss,
    )


def _train_again(folder: Path, observe: Observe) -> None:
    command = [
        sys.executable,
        "-m",
        "sweeper",
        "train",
        "--manifest",
        str(folder / "manifest.json"),
    ]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)
        try:
            while process.poll() is None:
                if point := last_point(folder / "curve.jsonl"):
                    observe(point)
                time.sleep(POLL_SECONDS)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        if process.returncode:
            errors.seek(0)
            raise SweeperError(f"the new run failed: {errors.read().strip()[-2000:]}")

"""Trains one recipe by the user's own command: a process, its variables, its output."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from sweeper.curves import Curve, Point, Stop, StopReason, point_to_json, read_curve, write_curve
from sweeper.files import sync_file
from sweeper.training.command_endings import ending_of
from sweeper.training.command_manifest import (
    CommandManifest,
    CommandPlan,
    command_result,
    read_command_manifest,
    take_command_fingerprints,
    write_command_manifest,
)
from sweeper.training.command_program import search_path
from sweeper.training.gathering import Gathering, merged, news_of
from sweeper.training.lost import keep_lost
from sweeper.training.outcome import Outcome
from sweeper.training.output import Output
from sweeper.training.overheard import end_line, with_the_unread
from sweeper.training.process import CommandProcess
from sweeper.training.watches import Watch

LOG = "output.log"
LISTEN_S = 0.25  # how long to listen before asking whether to stop
QUIET_S = 2.0  # after so long without output a step is taken for whole
_LINE_BYTES = 4096


def run_command(
    plan: CommandPlan,
    folder: Path,
    watch: Watch,
    interrupt: Callable[[], Stop | None],
    trial: int | None = None,
) -> Outcome:
    """Run a plan's command in its own folder, and leave what came of it in `folder`.

    Leaves `manifest.json`, `curve.jsonl` and `output.log`. A run that was interrupted begins
    anew and is told so; a script that goes on by itself keeps the curve up to there.

    Args:
        plan: What to run; its paths are relative to `folder`.
        folder: The trial's.
        watch: Sees every point; what it returns ends the run.
        interrupt: Asked several times a second; what it returns ends the run.
        trial: Its number, if it has one.

    Raises:
        CheckpointError: What an interrupted run left is damaged.
        OSError: The folder cannot be written, or the command's folder is gone; or the command
            failed while the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    manifest = CommandManifest(
        trial=trial,
        plan=plan,
        fingerprints=take_command_fingerprints(plan.engine, folder / plan.folder),
    )
    earlier = _interrupted_curve(manifest, folder)
    write_command_manifest(folder / "manifest.json", manifest)
    record = _Record(folder / "curve.jsonl", watch, earlier)
    run = _CommandRun(plan, folder, record, interrupt, is_resumed=earlier is not None)
    stop, exit_code = run.run()
    curve, notes = record.curve, tuple(record.notes)
    if stop.reason is not StopReason.PREEMPTED:
        result = command_result(stop, curve, exit_code, notes)
        ended = manifest.model_copy(update={"result": result})
        write_command_manifest(folder / "manifest.json", ended)
    return Outcome(stop, curve, plan.hyperparameters.batch_size, notes)


def _interrupted_curve(manifest: CommandManifest, folder: Path) -> Curve | None:
    """What an interrupted run of the very same plan has left; None where there was none."""
    path, curve = folder / "manifest.json", folder / "curve.jsonl"
    old = read_command_manifest(path) if path.is_file() else None
    if old is None or old.result is not None or _essence(old) != _essence(manifest):
        if curve.is_file():
            keep_lost(folder, read_curve(curve).points, 0)
        for name in (curve, folder / LOG):
            name.unlink(missing_ok=True)
        write_curve(curve, ())
        return None
    earlier = read_curve(curve) if curve.is_file() else Curve()
    return with_the_unread(earlier, folder / LOG, manifest.plan)


def _essence(manifest: CommandManifest) -> tuple[object, ...]:
    """What must be the same for a run to go on; it may have more threads or be known elsewhere."""
    plan = manifest.plan
    return plan.engine, plan.hyperparameters, plan.tokens, manifest.fingerprints.files


def _is_full(folder: Path) -> bool:
    """Whether a disk has not even room for a line."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize < _LINE_BYTES


@dataclass
class _Record:
    """A run's curve on its way to the disk, judged point by point.

    Attributes:
        path: The curve's file.
        watch: Judges.
        earlier: The curve of the same run before it was interrupted.
    """

    path: Path
    watch: Watch
    earlier: Curve | None
    notes: list[str] = field(default_factory=list)
    _points: list[Point] = field(default_factory=list)
    _num_back: int = 0

    @property
    def curve(self) -> Curve:
        """All points so far; before the first, those from before the interruption."""
        return Curve(tuple(self._points)) if self._points or not self.earlier else self.earlier

    def judge(self, points: Iterable[Point]) -> Stop | None:
        """Record whole points until one of them ends the run."""
        for point in points:
            if stop := self._judge(point):
                return stop
        return None

    def _judge(self, point: Point) -> Stop | None:
        if not self._points:
            self._begin(point)
        last = self._points[-1] if self._points else None
        if last is not None and point.step <= last.step:
            return self._amend(point, last)
        self._points.append(point)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(point_to_json(point) + "\n")
        if point.val_loss is not None:
            sync_file(self.path)
        return self.watch.update(point)

    def _begin(self, first: Point) -> None:
        """Keep of an interrupted run what the command does not repeat."""
        earlier = self.earlier or Curve()
        kept = [point for point in earlier if point.step < first.step]
        keep_lost(self.path.parent, earlier.points, len(kept))
        write_curve(self.path, kept)
        self._points = kept
        for point in kept:
            self.watch.replay(point)

    def _amend(self, part: Point, last: Point) -> Stop | None:
        """A step that was taken for whole has more to say; one before it is left out."""
        if part.step < last.step:
            self._num_back += 1
            if self._num_back == 1:
                self.notes.append(
                    f"after step {last.step} the output goes back to step {part.step}; "
                    "steps that it had passed already are left out"
                )
            return None
        news = news_of(part, last)
        self._points[-1] = merged(last, part)
        write_curve(self.path, self._points)
        return self.watch.update(news) if news is not None else None

    def seconds_before(self, step: int) -> float:
        """Training seconds that an interrupted run had spent before a step."""
        spent = [point.seconds or 0.0 for point in self.earlier or () if point.step < step]
        return max(spent, default=0.0)


class _CommandRun:
    def __init__(
        self,
        plan: CommandPlan,
        folder: Path,
        record: _Record,
        interrupt: Callable[[], Stop | None],
        *,
        is_resumed: bool,
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._record = record
        self._interrupt = interrupt
        self._is_resumed = is_resumed
        self._began = time.monotonic()
        self._seconds_before: float | None = None
        self._gathering = Gathering(plan.hyperparameters.tokens_per_step, self._seconds)

    def run(self) -> tuple[Stop, int | None]:
        """The end of the command, by itself or by us, and its exit code if it was by itself."""
        place, log = self._folder / self._plan.folder, self._folder / LOG
        command, output = self._plan.engine.command, Output(self._plan.engine)
        end_line(log)
        with CommandProcess(command, place, self._environment(), log) as process:
            self._began = time.monotonic()
            stop = self._follow(process, output)
            if stop is not None:
                process.end(self._plan.engine.grace_s)
                return stop, None
            exit_code = process.exit_code
        if exit_code != 0 and _is_full(self._folder):  # then that is no fault of the recipe
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(log))
        return ending_of(self._plan, exit_code, self._record.curve, output, place), exit_code

    def _follow(self, process: CommandProcess, output: Output) -> Stop | None:
        """Listen until the command ends; a stop where it must be ended."""
        heard_at = time.monotonic()
        while (chunk := process.read(LISTEN_S)) is not None:
            points: list[Point] = []
            if chunk:
                heard_at = time.monotonic()
                points = self._gathering.add(output.take(chunk))
            elif time.monotonic() - heard_at > QUIET_S:
                points = self._gathering.flush()
            if stop := self._record.judge(points) or self._interrupt():
                return stop
        last = self._gathering.add(output.close())
        return self._record.judge([*last, *self._gathering.flush()])

    def _environment(self) -> dict[str, str]:
        """Ours, the plan's, and what concerns this attempt; nothing is said by accident."""
        names = self._plan.engine.variables
        inherited = {k: v for k, v in os.environ.items() if k not in names.values()}
        attempt = {
            names["trial_folder"]: str(self._folder.resolve()),
            "PATH": search_path(),
            "PYTHONUNBUFFERED": "1",
        }
        if self._is_resumed:
            attempt[names["resume"]] = "1"
        return {**inherited, **self._plan.variables, **attempt}

    def _seconds(self, step: int) -> float:
        """Wall clock since the start, or since a step 0 that came after loading all there is."""
        if self._seconds_before is None:
            self._seconds_before = self._record.seconds_before(step)
            self._began = time.monotonic() if step == 0 else self._began
        return self._seconds_before + time.monotonic() - self._began

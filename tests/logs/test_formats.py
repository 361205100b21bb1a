"""The contract of all readers: the same run, however it was written, is the same curve."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pytest

from sweeper.errors import LogError
from sweeper.logs import FORMATS, LogOptions, read_log
from tests.logs.writers import ROWS, STEPS, TRAIN, WRITERS, Writer, write_csv, write_trainer_state


def losses(path: Path | None, **options: str) -> list[tuple[int, float | None, float | None]]:
    log = read_log(path, LogOptions(**options))  # type: ignore[arg-type]
    return [(point.step, point.train_loss, point.val_loss) for point in log.curve]


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_the_same_run_reads_to_the_same_curve(tmp_path: Path, write: Writer) -> None:
    assert losses(write(tmp_path)) == list(ROWS)


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_every_column_is_accounted_for(tmp_path: Path, write: Writer) -> None:
    log = read_log(write(tmp_path))

    roles = [column.role for column in log.columns]
    assert {"train_loss", "val_loss"} <= set(roles)
    assert all(column.basis for column in log.columns)
    assert log.format
    assert log.runs == ()


def test_standard_input_is_read_where_there_is_no_path(tmp_path: Path) -> None:
    raw = write_csv(tmp_path).read_bytes()

    log = read_log(None, stdin=io.BytesIO(raw))

    assert (log.source, [point.step for point in log.curve]) == ("stdin", list(STEPS))


def test_formats_can_be_said(tmp_path: Path) -> None:
    path = write_csv(tmp_path)

    assert read_log(path, LogOptions(format="csv")).format == "CSV"
    assert losses(path, format="text") == list(ROWS)
    with pytest.raises(LogError, match="--format jsonl asks for"):
        read_log(path, LogOptions(format="jsonl"))
    with pytest.raises(LogError, match=f"--format xml: no such .*{', '.join(FORMATS)}"):
        read_log(path, LogOptions(format="xml"))


def test_the_newest_whole_state_counts_and_older_ones_lend_their_start(tmp_path: Path) -> None:
    def state(name: str, steps: list[int], shift: float = 0.0) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        history = [{"step": step, "loss": step / 8 + shift} for step in steps]
        value = {"global_step": steps[-1], "log_history": history}
        (folder / "trainer_state.json").write_text(json.dumps(value))
        return folder / "trainer_state.json"

    state("checkpoint-20", [10, 20], shift=1)
    state("checkpoint-40", [20, 30, 40])
    broken = state("checkpoint-50", [20, 30, 40, 50])
    broken.write_text(broken.read_text()[:-9])

    log = read_log(tmp_path)

    assert [(p.step, p.train_loss) for p in log.curve] == [
        (10, 2.25),
        (20, 2.5),
        (30, 3.75),
        (40, 5.0),
    ]
    assert any("checkpoint-50/trainer_state.json: damaged" in note for note in log.notes)


def test_a_trainer_state_tells_its_settings(tmp_path: Path) -> None:
    log = read_log(write_trainer_state(tmp_path))

    assert log.settings["max_steps"] == 500
    assert log.curve.points[-1].epoch == 1.0


def test_a_damaged_state_alone_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "trainer_state.json").write_text('{"log_history": [')

    with pytest.raises(LogError, match=r"every trainer_state\.json in it is damaged"):
        read_log(tmp_path)


def test_a_folder_without_a_log_says_what_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("nothing")

    with pytest.raises(LogError, match=r"a folder without a log \(allowed: curve\.jsonl"):
        read_log(tmp_path)


def test_tensorboard_is_asked_for_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    for name in [name for name in sys.modules if name.split(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    path = tmp_path / "events.out.tfevents.1"
    path.write_bytes(b"\x18\0\0\0")

    with pytest.raises(LogError, match=r"pip install 'sweeper\[tensorboard\]'"):
        read_log(path)


def test_event_files_without_scalars_say_so(tmp_path: Path) -> None:
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    EventFileWriter(str(tmp_path)).close()

    with pytest.raises(LogError, match="no scalars"):
        read_log(tmp_path)


def test_event_files_hold_clock_times(tmp_path: Path) -> None:
    from tests.logs.writers import write_event_files

    points = read_log(write_event_files(tmp_path)).curve.points

    assert [point.seconds for point in points] == [float(step) for step in STEPS]
    assert [point.step_seconds for point in points[1:]] == [1.0] * 5


def test_a_cut_off_gzip_gives_what_it_has(tmp_path: Path) -> None:
    rows = "".join(f"{step},{8 - step / 9999:.5f}\n" for step in range(20_000))
    packed = gzip.compress(b"step,loss\n" + rows.encode(), mtime=0)
    path = tmp_path / "run.csv.gz"
    path.write_bytes(packed[: len(packed) // 2])

    log = read_log(path)

    assert 1000 < len(log.curve) < 20_000
    assert log.curve.points[500].train_loss == round(8 - 500 / 9999, 5)
    assert any("the gzip is damaged (its end is missing)" in note for note in log.notes)


def test_gzips_may_be_joined(tmp_path: Path) -> None:
    path = tmp_path / "run.gz"
    path.write_bytes(gzip.compress(b"step,loss\n1,5\n") + gzip.compress(b"2,4\n"))

    assert losses(path) == [(1, 5.0, None), (2, 4.0, None)]


def test_a_gzip_of_which_nothing_is_left_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "run.gz"
    path.write_bytes(gzip.compress(b"step,loss\n1,5\n")[:9])

    with pytest.raises(LogError, match="the gzip is damaged"):
        read_log(path)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_encodings_and_line_ends_do_no_harm(tmp_path: Path, encoding: str, newline: str) -> None:
    path = write_csv(tmp_path)
    path.write_bytes(path.read_text().replace("\n", newline).encode(encoding))

    assert losses(path) == list(ROWS)


def test_stray_bytes_and_nuls_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    path.write_bytes(b"caf\xe9\nstep 1: loss 5.0\n\0\0\0step 2: loss 4.0\n")

    log = read_log(path)

    assert [point.train_loss for point in log.curve] == [5.0, 4.0]
    assert any("line 1: not valid UTF-8, read as Latin-1" in note for note in log.notes)
    assert any("line 3: 3 NUL bytes left out" in note for note in log.notes)


def test_numbers_survive_exactly(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text('{"step": 1, "tokens": 64, "train_loss": "nan", "val_loss": "inf"}\n')

    (point,) = read_log(path).curve

    assert str(point.train_loss) == "nan"
    assert (point.val_loss, point.tokens) == (float("inf"), 64)
    assert TRAIN[0] == 8.25

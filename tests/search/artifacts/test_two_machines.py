"""Workers that do not see each other's folders, killed, misled and cut off."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import FrozenTrial

from sweeper.search import attributes as attrs
from sweeper.search.artifacts import fetching, shipping
from sweeper.search.artifacts.record import Record
from sweeper.search.ledger import LOST, keep_books
from sweeper.search.results import load_results
from sweeper.search.storage import trial_folder
from sweeper.search.store import StudyStore
from sweeper.study import StudySpec
from sweeper.training.lost import read_lost
from tests.ceph import SECRET
from tests.program import call
from tests.search.artifacts.buckets import Bucket
from tests.search.artifacts.conftest import Shelf
from tests.search.artifacts.machines import archives, eager_worker, join, kill, machines
from tests.search.conftest import NewStudy
from tests.search.test_runner import DEADLINE_S, UNPRUNED, curves, run_to_the_end, wait_for

ALONE = {**UNPRUNED, "budget": {"trials": 1, "tokens_per_trial": 40_000}}


def trials(spec: StudySpec) -> list[FrozenTrial]:
    return StudyStore(spec, create=False).trials()


def record_of(spec: StudySpec, number: int) -> Record:
    record = Record.of(trials(spec)[number])
    assert record is not None
    return record


def sent(spec: StudySpec, step: int) -> Callable[[], object]:
    """Whether the storage knows an archive of the first trial at or after a step."""

    stores: list[StudyStore] = []

    def archive_is_recorded() -> bool:
        if not stores:
            if not list(spec.output_folder.glob("timesheets/*.seconds")):
                return False
            stores.append(StudyStore(spec, create=False))
        record = Record.of(stores[0].trials()[0])
        return record is not None and record.newest is not None and record.newest.step >= step

    return archive_is_recorded


def left_half_way(spec: StudySpec, step: int = 4) -> None:
    """Have a worker killed in the middle of the first trial, once some of it is sent."""
    with eager_worker(spec) as process:
        wait_for(sent(spec, step), but=process.poll)
        kill(process)
    assert not trials(spec)[0].state.is_finished()


def test_another_machine_goes_on_from_a_killed_workers_checkpoint_to_the_bit(
    new_study: NewStudy, tmp_path: Path, shelf: Shelf
) -> None:
    whole = new_study("whole", **ALONE)
    run_to_the_end(whole)
    first, second, third = machines(
        new_study, tmp_path, "first", "second", "third", place=shelf.place, **ALONE
    )
    left_half_way(first)
    known = record_of(first, 0)

    join(second)

    assert curves(second) == curves(whole)
    assert not (second.output_folder / "spool.jsonl").exists()
    trial = trials(second)[0]
    assert trial.user_attrs[attrs.CRASHES] == 1
    assert known.newest is not None
    lost = trial.user_attrs[attrs.LOST_TOKENS]
    assert lost == read_lost(trial_folder(second, 0)).tokens
    tokens_per_step = 256
    assert lost == known.tokens - known.newest.step * tokens_per_step
    assert len(shelf.names()) == 1  # older ones are gone

    ended = call("report", "study.yaml", cwd=third.folder)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == call("report", "study.yaml", cwd=second.folder).stdout
    assert curves(third) == curves(whole)
    results = load_results(StudyStore(third, create=False))
    assert results.floors is not None
    assert list((trial_folder(third, 0) / "adapter").glob("*.safetensors"))
    books = {line.what: line for line in keep_books(results).lines}
    assert books["completed"].tokens == results.trials[0].curve.points[-1].tokens
    assert books[LOST].tokens == lost
    sheets = [spec.output_folder.glob("timesheets/*.seconds") for spec in (first, second)]
    at_work = [float(sheet.read_text()) for of_one in sheets for sheet in of_one]
    assert results.worker_s == pytest.approx(sum(at_work))
    assert call("reproduce", "study.yaml", cwd=third.folder).returncode == 0


@pytest.mark.long
def test_a_preempted_worker_leaves_its_last_step_to_another_machine(
    new_study: NewStudy, tmp_path: Path, shelf: Shelf
) -> None:
    first, second = machines(new_study, tmp_path, "first", "second", place=shelf.place, **ALONE)
    with eager_worker(first) as process:
        wait_for(sent(first, 4), but=process.poll)
        process.send_signal(signal.SIGUSR1)
        assert process.wait(DEADLINE_S) == 75
    left = record_of(first, 0)
    assert left.newest is not None and left.newest.step == left.step

    join(second)

    assert trials(second)[0].user_attrs[attrs.LOST_TOKENS] == 0


def test_a_flipped_bit_is_refused_and_costs_the_work_since_the_archive_before(
    new_study: NewStudy, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = new_study("whole", **ALONE)
    run_to_the_end(whole)
    first, second = machines(new_study, tmp_path, "first", "second", **ALONE)
    left_half_way(first, step=8)
    known = record_of(first, 0)
    newest, before = known.archives
    path = tmp_path / "store" / first.folder_name / newest.name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    join(second)

    assert f"{newest.name} is refused: it does not match its SHA-256" in caplog.text
    assert curves(second) == curves(whole)
    lost = trials(second)[0].user_attrs[attrs.LOST_TOKENS]
    assert lost == known.tokens - before.step * 256


@pytest.mark.long
def test_archives_that_are_gone_cost_what_they_held_and_are_counted(
    new_study: NewStudy, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = machines(new_study, tmp_path, "first", "second", **ALONE)
    left_half_way(first)
    known = record_of(first, 0)
    for path in archives(tmp_path):
        path.unlink()

    join(second)

    assert "is not there" in caplog.text
    assert "goes on from step 0" in caplog.text
    assert trials(second)[0].user_attrs[attrs.LOST_TOKENS] == known.tokens


@pytest.mark.long
def test_the_machine_that_comes_back_takes_the_newer_state_not_its_own(
    new_study: NewStudy, tmp_path: Path, shelf: Shelf
) -> None:
    whole = new_study("whole", **ALONE)
    run_to_the_end(whole)
    first, second = machines(new_study, tmp_path, "first", "second", place=shelf.place, **ALONE)
    left_half_way(first)
    there = record_of(first, 0)
    left_half_way(second, step=there.step + 8)
    here = record_of(second, 0)

    join(first)

    assert curves(first) == curves(whole)
    assert here.newest is not None
    lost = trials(first)[0].user_attrs[attrs.LOST_TOKENS]
    assert lost == here.lost.tokens + here.tokens - here.newest.step * 256


def test_while_the_place_is_away_training_goes_on_and_is_sent_by_the_next_worker(
    new_study: NewStudy,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shipping, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(fetching, "PATIENCE_SECONDS", 0.0)
    first, second = machines(new_study, tmp_path, "first", "second")
    store = tmp_path / "store"
    shutil.rmtree(store)

    join(first)

    assert f"cannot be sent ({store}: No such file or directory); training goes on" in caplog.text
    assert "is sent when a worker is started here again" in caplog.text
    assert [trial.state.is_finished() for trial in trials(first)] == [True] * 6
    assert load_results(StudyStore(second, create=False)).best is not None
    assert curves(second) == {}
    caplog.clear()

    store.mkdir()
    run_to_the_end(first)

    assert len(archives(tmp_path)) == len(curves(first))
    load_results(StudyStore(second, create=False))
    assert curves(second) == curves(first)
    assert caplog.text == ""
    assert not list((first.output_folder / "owed").iterdir())


def test_without_a_place_nothing_is_sent_or_written(new_study: NewStudy, tmp_path: Path) -> None:
    spec = new_study("here", storage=f"sqlite:///{tmp_path / 'shared.db'}")
    join(spec)
    store = StudyStore(spec, create=False)
    names = {name for trial in store.trials() for name in trial.user_attrs}
    assert not names & {attrs.ARTIFACT, attrs.ENDED_BY}
    assert not [name for name in store.study.user_attrs if attrs.WORKER_SECONDS in name]
    left = {name for _, folders, files in os.walk(spec.output_folder) for name in folders + files}
    assert not left & {"origin.json", "owed"}


@pytest.mark.long
def test_a_bucket_serves_as_well_and_nobody_is_told_its_keys(
    new_study: NewStudy, tmp_path: Path, bucket: Bucket
) -> None:
    first, second = machines(
        new_study, tmp_path, "first", "second", place="s3://bucket/sweeps", **ALONE
    )
    with eager_worker(first) as process:
        wait_for(sent(first, 4), but=process.poll)
        out, err = kill(process)
    join(second)
    bucket.server.kill()
    known = record_of(second, 0)
    assert known.is_final
    assert trials(second)[0].user_attrs[attrs.CRASHES] == 1
    ended = call("report", "study.yaml", cwd=first.folder)

    assert ended.returncode == 0
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    said = out + err + ended.stdout + ended.stderr
    assert not [text for text in (*written, said.encode()) if SECRET.encode() in text]

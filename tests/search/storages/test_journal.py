"""Journals that a dying process left half a line in: mended, and nothing else changed."""

from __future__ import annotations

import json
from pathlib import Path

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.errors import StorageError
from sweeper.search.storages.address import Address
from sweeper.search.storages.journal import open_journal
from sweeper.search.storages.opening import open_storage


@pytest.fixture(autouse=True)
def _quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def new_trials(path: Path, count: int) -> int:
    """Add trials to the journal's study; gives how many it has then."""
    study = optuna.create_study(storage=open_journal(path), study_name="s", load_if_exists=True)
    for _ in range(count):
        study.tell(study.ask(), 1.0)
    return len(study.trials)


def num_trials(path: Path) -> int:
    """Trials of the only study in a journal."""
    return len(open_journal(path).get_all_trials(0))


def cut(path: Path, num_bytes: int) -> bytes:
    """Take bytes off the end, and give what is left of the last line."""
    path.write_bytes(path.read_bytes()[:-num_bytes])
    return path.read_bytes().rpartition(b"\n")[2]


def test_half_a_line_is_cut_off_kept_beside_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "study.log"
    new_trials(path, 2)
    half = cut(path, 10)

    assert new_trials(path, 1) == 3

    assert half in (tmp_path / "study.log.cut").read_bytes()
    assert (
        f"study.log: the last line was half-written, by a process that died; its {len(half)}"
        in (caplog.text)
    )
    assert str(tmp_path) not in caplog.messages[0]
    assert all(json.loads(line) for line in path.read_bytes().splitlines())


def test_a_writer_that_was_open_before_mends_it_too(tmp_path: Path) -> None:
    """The process that died is another one; nobody opens the journal anew."""
    path = tmp_path / "study.log"
    study = optuna.create_study(storage=open_journal(path), study_name="s")
    with path.open("ab") as journal:
        journal.write(b'{"op_code":4,"wor')

    study.tell(study.ask(), 1.0)

    assert new_trials(path, 1) == 2


def test_a_journal_that_cannot_be_mended_is_not_left_locked(tmp_path: Path) -> None:
    path = tmp_path / "study.log"
    new_trials(path, 1)
    backend = open_journal(path)
    away = path.rename(tmp_path / "away.log")
    for _ in range(2):  # a second time it would wait for itself
        with pytest.raises(FileNotFoundError):
            backend.create_new_study([optuna.study.StudyDirection.MINIMIZE], "other")
    away.rename(path)

    assert new_trials(path, 1) == 2


@pytest.mark.parametrize("from_end", [1, 2])
def test_a_line_that_another_was_glued_to_is_blanked_in_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, from_end: int
) -> None:
    path = tmp_path / "study.log"
    new_trials(path, 2)
    half = b'{"op_code":8,"worker_id":"x","trial_id":0,"us'
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:-from_end], half, *lines[-from_end:]]))

    assert num_trials(path) == 2

    blanks = b" " * len(half)
    assert path.read_bytes() == b"".join([*lines[:-from_end], blanks, *lines[-from_end:]])
    assert half in (tmp_path / "study.log.cut").read_bytes()
    assert "study.log: a line began with a half-written one" in caplog.text


def test_a_line_without_any_record_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.log"
    new_trials(path, 1)
    path.write_bytes(b"\0\0\0\n" + path.read_bytes())

    with pytest.raises(StorageError, match=r"line 1 of study\.log is damaged"):
        open_storage(Address("journal", f"journal:///{path}"))


def test_a_whole_journal_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "study.log"
    new_trials(path, 2)
    before = path.read_bytes()

    assert num_trials(path) == 2

    assert path.read_bytes() == before
    assert not (tmp_path / "study.log.cut").exists()


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_a_journal_cut_anywhere_holds_all_that_was_whole(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("cut") / "study.log"
    new_trials(path, 3)
    whole = path.read_bytes()
    place = data.draw(st.integers(whole.index(b"\n") + 1, len(whole)))
    path.write_bytes(whole[:place])

    trials_left = sum(b'"op_code":4,' in line for line in whole[:place].split(b"\n")[:-1])

    assert num_trials(path) == trials_left
    assert path.read_bytes() == whole[: whole.rfind(b"\n", 0, place) + 1]
    assert new_trials(path, 1) == trials_left + 1

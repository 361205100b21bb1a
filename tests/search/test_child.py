"""A process of one's own: what it begins with, how it ends, and that it never outlives anybody."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sweeper.errors import BaseError
from sweeper.search.workers.child import ChildDied, call_in_child
from sweeper.search.workers.nursery import Nursery
from tests.search.processes import answer, die, fail, say_and_wait
from tests.search.test_runner import members, wait_for

HERE = Path(__file__).parent.parent.parent


def test_a_child_has_the_variables_that_it_is_given_and_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SET_BEFORE", "by us")
    nursery = Nursery(variables={"GIVEN": "1"})

    first = call_in_child(answer, ("GIVEN", "SET_BEFORE"), nursery, tmp_path / "log")
    monkeypatch.setenv("SET_BEFORE", "by us, later")
    second = call_in_child(answer, ("GIVEN", "SET_BEFORE"), nursery, tmp_path / "log")

    assert first["variables"] == {"GIVEN": "1", "SET_BEFORE": "by us"}
    assert second["variables"] == {"GIVEN": "1", "SET_BEFORE": "by us, later"}
    assert os.environ.get("GIVEN") is None
    assert len({first["pid"], second["pid"], os.getpid()}) == 3
    assert first["parent"] == second["parent"] != os.getpid()  # forked from one that is warm
    assert not [*tmp_path.iterdir()]


def test_what_it_raises_is_raised_with_the_traceback(tmp_path: Path) -> None:
    with pytest.raises(BaseError, match="no such base") as caught:
        call_in_child(fail, "user", Nursery(), tmp_path / "log")
    assert "in fail" in caught.value.__notes__[0]

    with pytest.raises(RuntimeError, match="OddError: an odd") as caught:
        call_in_child(fail, "odd", Nursery(), tmp_path / "log")
    assert "in fail" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGKILL, "it was killed (SIGKILL; the kernel does so where memory has run out)"),
        (signal.SIGSEGV, "it crashed (SIGSEGV)"),
    ],
)
def test_a_death_is_told_in_words_with_what_was_printed(
    tmp_path: Path, number: int, words: str
) -> None:
    with pytest.raises(ChildDied) as caught:
        call_in_child(die, number, Nursery(), tmp_path / "log")
    assert str(caught.value) == words
    assert caught.value.log.startswith("the last words\n")
    assert ("Segmentation fault" in caught.value.log) is (number == signal.SIGSEGV)


def test_somebody_who_says_stop_is_not_kept_waiting(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def is_silent() -> bool:
        return not (log.exists() and log.read_text())

    assert call_in_child(say_and_wait, None, Nursery(), log, go_on=is_silent) is None


def test_a_child_never_outlives_its_supervisor(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = f"from tests.search.processes import *; be_a_supervisor({str(log)!r})"
    supervisor = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=HERE,
        env={**os.environ, "PYTHONPATH": str(HERE)},
        start_new_session=True,
    )
    try:
        wait_for(lambda: log.exists() and log.read_text(), but=supervisor.poll)
        assert int(log.read_text()) in members(supervisor.pid)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):  # as Slurm would
            os.kill(int(log.read_text()), number)
        time.sleep(0.1)
        assert int(log.read_text()) in members(supervisor.pid)
    finally:
        supervisor.kill()
        supervisor.wait()
    wait_for(lambda: not members(supervisor.pid))

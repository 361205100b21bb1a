"""A server that goes away in the middle of a study, and comes back."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from optuna.exceptions import StorageInternalError
from optuna.study import StudyDirection
from optuna.trial import TrialState

from sweeper.curves import Curve, Point, Stop, StopReason
from sweeper.errors import StorageAwayError, StorageError
from sweeper.search import attributes as attrs
from sweeper.search.clock import StudyClock
from sweeper.search.outcomes import Result
from sweeper.search.runner import RunOutcome
from sweeper.search.storages import postgres
from sweeper.search.storages.address import Address
from sweeper.search.storages.exclusion import LOCK_SECONDS, FileExclusion
from sweeper.search.storages.lock_words import GRANTED, LockWords, place_in
from sweeper.search.storages.opening import open_storage
from sweeper.search.storages.serving import SILENT_SECONDS, LentLock
from sweeper.search.storages.spool import Note, Spool
from sweeper.search.store import StudyStore
from sweeper.search.workers.books import Books
from sweeper.search.workers.holding import Holding
from sweeper.search.workers.joining import join_study
from sweeper.study import StudySpec
from sweeper.training.outcome import Outcome
from tests.search.fakes import claimed, overwrite_lease, result, run_faked, spec_at
from tests.search.storages.conftest import new_proxy
from tests.servers import PostgresServer, Proxy


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    server = new_proxy(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def spec(proxy: Proxy, tmp_path: Path) -> StudySpec:
    return spec_at(tmp_path, storage=proxy.url)


def test_what_is_said_meanwhile_is_kept_and_sent_and_claims_wait(
    proxy: Proxy, spec: StudySpec
) -> None:
    store = StudyStore(spec, create=True)
    claim, lost = claimed(store), claimed(store)
    seen = store.trials()
    overwrite_lease(store, lost.number, owner="another")
    proxy.kill()

    assert store.report(claim, 1000, 5.5)
    assert store.finish(claim, result(val_loss=5.0))
    assert store.finish(lost, result(val_loss=1.0))  # nobody can know yet that it is another's
    assert store.trials() == seen
    got: list[int] = []
    waiting = threading.Thread(target=lambda: got.append(claimed(store).number))
    waiting.start()
    proxy.start()
    waiting.join()

    assert got == [2]
    trials = StudyStore(spec, create=False).trials()
    assert (trials[0].state, trials[0].value) == (TrialState.COMPLETE, 5.0)
    assert trials[0].intermediate_values == {1000: 5.5}
    assert trials[1].state is TrialState.RUNNING
    assert not (spec.output_folder / "spool.jsonl").exists()


def test_a_trials_end_waits_for_no_server(proxy: Proxy, spec: StudySpec) -> None:
    """Else the trials beside it in a worker would stand still."""
    store = StudyStore(spec, create=True)
    claim = claimed(store)
    books = Books(store, Holding(store), spec.folder / "stop")
    curve = Curve((Point(step=1, tokens=1000, val_loss=5.0, seconds=1.0),))
    proxy.kill()

    books.finish(claim, Outcome(Stop(StopReason.COMPLETED, "the whole budget"), curve, 8, ()))
    assert (spec.output_folder / "spool.jsonl").exists()
    proxy.start()

    other = claimed(StudyStore(spec, create=False))
    assert other.number == 1
    (ended, _) = StudyStore(spec, create=False).trials()
    assert (ended.state, ended.value) == (TrialState.COMPLETE, 5.0)
    assert ended.intermediate_values == {1000: 5.0}


def test_what_only_looks_on_goes_on_meanwhile(proxy: Proxy, spec: StudySpec) -> None:
    store = StudyStore(spec, create=True)
    claim, clock = claimed(store), StudyClock(store)
    assert store.report(claim, 1000, 5.5)
    assert store.shown_losses(claim) == {1000: 5.5}
    proxy.kill()

    assert store.shown_losses(claim) == {}  # and is shown again
    clock.save()
    proxy.start()
    clock.save()

    assert store.study.user_attrs[attrs.SECONDS_SPENT] > 0


def test_who_is_to_leave_does_not_wait_for_a_server(
    proxy: Proxy, spec: StudySpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeper.search.storages.patience.LEAVING_SECONDS", 0.3)
    StudyStore(spec, create=True)
    is_leaving = threading.Event()
    store = StudyStore(spec, create=False, has_to_leave=is_leaving.is_set)
    claim = claimed(store)
    proxy.kill()
    asked = threading.Timer(0.2, is_leaving.set)
    asked.start()

    with pytest.raises(StorageInternalError):  # the other way to come back is after five minutes
        store.claim("me")
    with pytest.raises(StorageInternalError):
        store.release(claim)

    assert is_leaving.is_set()


def test_a_server_that_is_silent_counts_as_away(
    proxy: Proxy, spec: StudySpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = StudyStore(spec, create=True)
    claim = claimed(store)
    monkeypatch.setattr("sweeper.search.storages.proxy.CALL_SECONDS", 0.3)
    monkeypatch.setattr("sweeper.search.storages.proxy.GREETING_SECONDS", 0.3)
    proxy.signal(signal.SIGSTOP)

    assert store.report(claim, 1000, 5.5)
    assert store.report(claim, 2000, 5.25)
    monkeypatch.undo()
    proxy.signal(signal.SIGCONT)
    assert store.finish(claim, result(val_loss=5.0))

    trial = StudyStore(spec, create=False).trials()[0]
    assert trial.intermediate_values == {1000: 5.5, 2000: 5.25}
    assert trial.state is TrialState.COMPLETE


@pytest.mark.parametrize("kind", ["postgresql", "grpc"])
def test_nothing_is_written_under_a_lock_that_the_server_has_forgotten(
    kind: str, proxy: Proxy, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        if kind == "grpc":
            url, end, begin = proxy.url, proxy.kill, proxy.start
        else:
            server = stack.enter_context(PostgresServer())
            url, end, begin = server.url, partial(server.stop, "immediate"), server.start
        opened = open_storage(Address.read(url, tmp_path))
        study = opened.storage.create_new_study([StudyDirection.MINIMIZE], "study")

        with opened.exclusion.held("study"):
            opened.storage.set_study_user_attr(study, "mine", 1)
            end()
            begin()
            with pytest.raises(StorageInternalError):
                opened.storage.create_new_trial(study)

        assert opened.storage.get_study_user_attrs(study) == {"mine": 1}
        assert opened.storage.get_all_trials(study) == []
        with opened.exclusion.held("study"):
            opened.storage.create_new_trial(study)


def test_a_worker_that_comes_before_its_server_waits_for_it(
    new_study: Callable[..., StudySpec],
) -> None:
    with PostgresServer() as server:
        spec = new_study(storage=server.url)
        run_faked(StudyStore(spec, create=True))
        server.stop("fast")
        told: list[str] = []

        def tell(what: str, _done: int, _total: int) -> None:
            told.append(what)
            if len(told) == 1:
                server.start()

        outcome = join_study(spec, observe=lambda _: None, tell=tell)

    assert "cannot be opened" in told[0]
    assert outcome == RunOutcome(None, False)


def test_a_database_that_is_silent_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with PostgresServer() as server:
        spec = spec_at(tmp_path, storage=server.url)
        store = StudyStore(spec, create=True)
        claim = claimed(store)
        monkeypatch.setattr(postgres, "ANSWER_SECONDS", 0.5)
        monkeypatch.setattr(postgres, "CONNECT_SECONDS", 1)
        server.signal(signal.SIGSTOP)
        assert store.finish(claim, result(val_loss=5.0))  # kept in the study's folder
        server.signal(signal.SIGCONT)
        monkeypatch.setattr(postgres, "ANSWER_SECONDS", 30.0)
        assert claimed(store).number == 1
        assert StudyStore(spec, create=False).trials()[0].value == 5.0


def test_a_lock_of_the_database_that_another_has_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Longer than a silent server is, and than its own patience."""
    monkeypatch.setattr(postgres, "ANSWER_SECONDS", 1.0)
    monkeypatch.setattr(postgres, "TURN_SECONDS", 0.2)
    with PostgresServer() as server:
        url = Address.read(server.url, tmp_path).url
        mine, theirs = postgres.PostgresExclusion(url), postgres.PostgresExclusion(url)
        has_it = threading.Event()

        def wait() -> None:
            with theirs.held("study"):
                has_it.set()

        with mine.held("study"):
            waiting = threading.Thread(target=wait)
            waiting.start()
            assert not has_it.wait(1.5)
        assert has_it.wait(10)
        waiting.join()


def test_a_lent_lock_of_the_database_may_be_given_back_by_another_thread(tmp_path: Path) -> None:
    """As the proxy's threads do, which all write afterwards."""
    with PostgresServer() as server:
        exclusion = postgres.PostgresExclusion(Address.read(server.url, tmp_path).url)
        lock = LentLock(exclusion)
        assert place(lock, "me") == 0
        exclusion.confirm()
        giving_back = threading.Thread(target=ask, args=(lock, "release", "me"))
        giving_back.start()
        giving_back.join()

        exclusion.confirm()  # has nothing to lose


def test_a_server_that_refuses_is_not_waited_for(tmp_path: Path) -> None:
    with PostgresServer() as server:
        url = server.url.replace("/postgres?", "/nowhere?")
        with pytest.raises(StorageError, match="nowhere") as caught:
            open_storage(Address.read(url, tmp_path))
        assert not isinstance(caught.value, StorageAwayError)
        server.stop("fast")
        with pytest.raises(StorageAwayError):
            open_storage(Address.read(server.url, tmp_path))


def test_a_dead_workers_last_words_are_sent_by_the_next(proxy: Proxy, spec: StudySpec) -> None:
    """Before anybody takes the trial whose end they are."""
    first = StudyStore(spec, create=True)
    claim = claimed(first)
    overwrite_lease(first, 0, expires_at=0.0)
    proxy.kill()
    first.finish(claim, result(val_loss=4.5))
    proxy.start()

    next_claim = claimed(StudyStore(spec, create=False), "next")

    assert next_claim.number == 1
    trial = StudyStore(spec, create=False).trials()[0]
    assert (trial.value, trial.user_attrs.get(attrs.CRASHES, 0)) == (4.5, 0)


def test_workers_with_the_proxy_and_with_the_database_exclude_each_other(
    proxy: Proxy, spec: StudySpec, tmp_path: Path
) -> None:
    direct = spec_at(tmp_path, storage=f"sqlite:///{tmp_path}/served.db")
    StudyStore(spec, create=True)
    stores = [StudyStore(s, create=False) for s in (spec, direct)]
    done: list[int] = []

    def work(store: StudyStore) -> None:
        done.extend(claim.number for claim in run_faked(store))

    threads = [threading.Thread(target=work, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(done) == list(range(6))


# ---------------------------------------------------------------------- its parts


def ask(lock: LentLock, verb: Any, token: str) -> int:
    return lock.answer(LockWords(verb, token, "study"))


def place(lock: LentLock, token: str) -> int:
    """In the queue for it, 0 where it is given."""
    answer = ask(lock, "acquire", token)
    return 0 if answer == GRANTED else place_in(answer)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lock(clock: Clock, tmp_path: Path) -> LentLock:
    return LentLock(FileExclusion(tmp_path / "lock"), clock, answer_s=0)


def test_a_lent_lock_has_one_holder_until_it_is_given_back_or_silent(
    lock: LentLock, clock: Clock
) -> None:
    assert place(lock, "me") == 0
    assert place(lock, "you") == 1
    assert place(lock, "me") == 0  # its answer had been lost
    ask(lock, "release", "you")  # is not yours
    assert place(lock, "you") == 1
    ask(lock, "release", "me")
    assert place(lock, "you") == 0
    clock.now = LOCK_SECONDS - 1
    assert place(lock, "me") == 1
    assert ask(lock, "confirm", "you") == GRANTED  # and begins anew
    clock.now = LOCK_SECONDS
    assert place(lock, "me") == 1
    clock.now = 2 * LOCK_SECONDS - 1
    assert place(lock, "me") == 0
    assert ask(lock, "confirm", "you") != GRANTED
    ask(lock, "release", "me")


def test_who_came_first_is_next_whoever_asks(lock: LentLock) -> None:
    assert [place(lock, token) for token in ("holder", "first", "second")] == [0, 1, 2]
    ask(lock, "release", "holder")

    assert [place(lock, token) for token in ("third", "holder", "second")] == [3, 4, 2]
    assert place(lock, "first") == 0
    ask(lock, "release", "first")
    assert [place(lock, token) for token in ("holder", "third")] == [3, 2]
    assert place(lock, "second") == 0
    ask(lock, "release", "second")


def test_a_turn_is_over_for_who_does_not_ask_any_more(lock: LentLock, clock: Clock) -> None:
    assert [place(lock, token) for token in ("holder", "dead", "living")] == [0, 1, 2]
    ask(lock, "release", "holder")
    clock.now = SILENT_SECONDS - 0.1
    assert place(lock, "living") == 2
    clock.now = SILENT_SECONDS

    assert place(lock, "living") == 0
    assert place(lock, "dead") == 1  # after all, and at the end
    ask(lock, "release", "living")


class Roll:
    """A clock that stands still, and calls the roll: the lock looks at it for each who asks."""

    def __init__(self, last: int) -> None:
        self.names: list[str] = []
        self.is_complete = threading.Event()
        self._last = last

    def __call__(self) -> float:
        name = threading.current_thread().name
        if name not in self.names:
            self.names.append(name)
        if len(self.names) == self._last:
            self.is_complete.set()
        return 0.0


def test_who_is_next_is_told_of_its_turn_and_has_to_ask_for_it(tmp_path: Path) -> None:
    """It may have died while it waited."""
    roll = Roll(2)
    lock = LentLock(FileExclusion(tmp_path / "lock"), roll, answer_s=3600)
    assert place(lock, "holder") == 0
    told: list[int] = []
    first = threading.Thread(target=lambda: told.append(place(lock, "first")))
    first.start()
    roll.is_complete.wait()
    ask(lock, "release", "holder")
    first.join()

    assert told == [1]
    assert place(lock, "first") == 0
    ask(lock, "release", "first")


def test_sixteen_that_never_rest_have_their_turns_in_the_order_of_their_coming(
    tmp_path: Path,
) -> None:
    roll, turns = Roll(1 + 16), list[str]()
    lock = LentLock(FileExclusion(tmp_path / "lock"), roll, answer_s=3600)

    def work() -> None:
        name = threading.current_thread().name
        for _ in range(3):
            while place(lock, name):
                pass
            turns.append(name)
            ask(lock, "release", name)

    assert place(lock, "holder") == 0
    workers = [threading.Thread(target=work) for _ in range(16)]
    for worker in workers:
        worker.start()
    roll.is_complete.wait()
    ask(lock, "release", "holder")
    for worker in workers:
        worker.join()

    assert turns[:16] == roll.names[1:]
    assert len(turns) == 3 * 16


def test_words_of_the_lock_are_no_study_and_no_study_is_words() -> None:
    words = LockWords("acquire", "abc", "a: study")

    assert LockWords.read(words.as_name()) == words
    assert LockWords.read("plateau-1234") is None
    assert LockWords.read("sweeper-lock") is None
    with pytest.raises(KeyError):
        LockWords.read("sweeper-lock:steal:abc:study")


def test_a_spool_gives_back_what_it_was_given_but_for_half_a_note(tmp_path: Path) -> None:
    notes = [
        Note(3, "me", ((1000, 5.5), (2000, 5.25))),
        Note(3, "me", result=result(StopReason.SPIKE, val_loss=None, overflow=4)),
        Note(4, "you", result=Result(result().stop, 4.0, 10, 1.5, same_as=2)),
    ]
    spool, sent = Spool(tmp_path), list[Note]()
    with (tmp_path / "spool.jsonl").open("ab") as file:
        file.write(notes[0].as_line()[:20])
    for note in notes:
        spool.keep(note)

    spool.send(sent.append)
    spool.send(sent.append)

    assert sent == notes


def test_a_spool_keeps_all_where_one_cannot_be_sent(tmp_path: Path) -> None:
    spool, tried = Spool(tmp_path), list[int]()
    for number in (1, 2):
        spool.keep(Note(number, "me"))

    def fail_at_two(note: Note) -> None:
        tried.append(note.number)
        if note.number == 2 and len(tried) < 3:
            raise OSError("gone again")

    with pytest.raises(OSError, match="gone again"):
        spool.send(fail_at_two)
    spool.send(fail_at_two)

    assert tried == [1, 2, 1, 2]

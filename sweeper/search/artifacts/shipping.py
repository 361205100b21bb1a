"""Sending what trials leave to the study's place, by the worker that holds them."""

from __future__ import annotations

import hashlib
import logging
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from optuna.exceptions import StorageInternalError

from sweeper.curves import Point
from sweeper.errors import CheckpointError
from sweeper.search import attributes as attrs
from sweeper.search.artifacts.archive import newest_checkpoint, pack
from sweeper.search.artifacts.debts import Debts
from sweeper.search.artifacts.fetching import bring
from sweeper.search.artifacts.marks import tell_floors
from sweeper.search.artifacts.origin import Origin, keep_origin
from sweeper.search.artifacts.place import Place, PlaceAway, open_place
from sweeper.search.artifacts.record import Archive, Record, newest_record
from sweeper.search.claim import Claim, was_ended_by
from sweeper.search.storage import last_words, newest_point, trial_folder
from sweeper.search.store import StudyStore
from sweeper.search.workers.holding import RENEW_SECONDS
from sweeper.training.lost import read_lost

PATIENCE_SECONDS = 300.0  # of a worker that would leave with results that it could not send
_PAUSE_SECONDS = 1.0
_KEPT = 2  # archives of a trial that goes on
_MOST_ANNOUNCED = 8  # while the place is away, each try announces another
# The trials meet them themselves, and say so.
_MET_ELSEWHERE = (StorageInternalError, OSError, CheckpointError)

_log = logging.getLogger(__name__)


class Shipping:
    """Sends each trial in hand as often as leases are renewed, in a thread of its own.

    Sending takes as long as the network does; leases do not wait for it. While the place is away,
    trials go on, and what they leave is sent later.

    Args:
        store: The study's; where it names no place, nothing is done.
        is_leaving: Whether the worker was told to leave, and does not wait for anything.

    Raises:
        StorageError: The place's client is not installed.
    """

    def __init__(self, store: StudyStore, is_leaving: Callable[[], bool]) -> None:
        self._store = store
        self._is_leaving = is_leaving
        self._place = open_place(store.spec)
        self._claims: dict[int, Claim] = {}  # in hand, by their numbers
        self._records: dict[int, Record] = {}  # as the storage has them
        self._refused: dict[int, frozenset[str]] = {}
        self._gone: dict[int, frozenset[str]] = {}  # that the records name still, and are removed
        self._debts = Debts(store)
        self._lock = threading.RLock()  # one archive at a time, and the records
        self._is_away = False
        self._away_until = 0.0  # on the monotonic clock; before, nothing is tried
        self._why_away = ""
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="artifacts", daemon=True)

    def __enter__(self) -> Shipping:
        if self._place is not None:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._place is not None:
            self._done.set()
            self._thread.join()
            self._pay_patiently(self._place)

    def bring(self, claim: Claim) -> None:
        """Have a claim's trial here as its last holder left it; see `fetching.bring`."""
        if self._place is not None:
            trial = self._store.storage.get_trial(claim.trial_id)
            refused = bring(self._store.spec, self._place, trial, self._is_leaving)
            self._refused[claim.number] = refused

    def begin(self, claim: Claim) -> None:
        """From now on, this worker's files of a trial are the newest."""
        if self._place is None:
            return
        before, refused = self._stored(claim), self._refused.pop(claim.number, frozenset())
        archives = tuple(a for a in before.archives if a.name not in refused)
        record = self._newest(claim, replace(before, archives=archives))
        newest = record.newest
        keep_origin(self._folder(claim), Origin(record.owner, newest.name if newest else ""))
        with self._lock:
            if self._store.annotate_held(claim, {attrs.ARTIFACT: record.as_dict()}):
                self._claims[claim.number] = claim
                self._records[claim.number] = record

    def hand_over(self, claim: Claim) -> None:
        """Send a trial that this worker is about to leave to the next."""
        self._send_last(claim, has_ended=False)

    def deliver(self, claim: Claim) -> None:
        """Send what is left of a trial that has ended, before anybody is told so."""
        self._send_last(claim, has_ended=True)

    def forget(self, claim: Claim) -> None:
        """A trial is another's by now."""
        with self._lock:
            self._claims.pop(claim.number, None)

    def _send_last(self, claim: Claim, *, has_ended: bool) -> None:
        with self._lock:
            if self._place is None or claim.number not in self._claims:
                return
            try:
                self._send(self._place, claim, has_ended=has_ended)
                tell_floors(self._store)
            except (PlaceAway, StorageInternalError) as error:
                self._say_away(claim, error)
                if has_ended:
                    self._debts.owe(claim)
            self._claims.pop(claim.number, None)

    def _keep(self) -> None:
        assert self._place is not None, "else there is no thread"
        while True:
            self._send_newer(self._place)
            if self._done.wait(RENEW_SECONDS):
                return

    def _send_newer(self, place: Place) -> None:
        for number in list(self._claims):
            with self._lock, suppress(*_MET_ELSEWHERE):
                if (claim := self._claims.get(number)) is not None:
                    self._send_if_newer(place, claim)
        with self._lock, suppress(PlaceAway, *_MET_ELSEWHERE):
            self._debts.pay(lambda claim: self._send(place, claim, has_ended=True))

    def _send_if_newer(self, place: Place, claim: Claim) -> None:
        record = self._records[claim.number]
        step = newest_checkpoint(self._folder(claim))
        sent = -2 if record.newest is None else record.newest.step
        # A command has no checkpoints.
        if step > sent or (step == -1 and self._newest(claim, record) != record):
            try:
                self._send(place, claim, has_ended=False)
            except PlaceAway as error:
                self._say_away(claim, error)
            else:
                return
        record = self._records[claim.number]  # with what was announced, if anything was
        if (newest := self._newest(claim, record)) != record:
            self._note(claim, newest)

    def _send(self, place: Place, claim: Claim, *, has_ended: bool) -> bool:
        """Keep an archive of a trial and have the storage say so; False where it is another's.

        Raises:
            PlaceAway: The archive could not be kept.
            StorageInternalError: The storage's server is away.
        """
        if time.monotonic() < self._away_until:
            raise PlaceAway(self._why_away)
        before, gone = self._stored(claim), self._gone.get(claim.number, frozenset())
        perhaps = tuple(name for name in before.announced if name not in gone)
        name = f"{claim.number:04d}-{uuid.uuid4().hex}.tar"
        # Said before it is sent, as those that are no longer needed are before they are removed:
        # should this worker die in between, the next one removes them.
        announced = replace(before, announced=_shortened((*perhaps, name)))
        if not self._note(claim, self._newest(claim, announced)):
            return False
        archive = self._put(place, claim, name, has_ended)
        kept = before.archives[: 0 if has_ended else _KEPT - 1]
        old = (*perhaps, *(archive.name for archive in before.archives[len(kept) :]))
        now = Record(before.owner, (archive, *kept), has_ended, announced=old)
        record = self._newest(claim, now)
        if not self._note(claim, record):
            place.remove(archive.name)
            return False
        keep_origin(self._folder(claim), Origin(record.owner, archive.name))
        self._gone[claim.number] = frozenset(filter(place.remove, record.announced))
        self._say_back()
        return True

    def _put(self, place: Place, claim: Claim, name: str, has_ended: bool) -> Archive:
        with tempfile.TemporaryFile(dir=self._folder(claim)) as file:
            step = pack(self._folder(claim), file, has_ended=has_ended)
            size = file.tell()
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            began = time.monotonic()
            try:
                place.put(name, file)
            except PlaceAway as error:
                # A server that hangs is found out late: trials do not wait for that in a row, nor
                # does who was told to leave.
                now = time.monotonic()
                self._away_until, self._why_away = now + (now - began), str(error)
                raise
        return Archive(name, digest, size, step)

    def _stored(self, claim: Claim) -> Record:
        trial = self._store.storage.get_trial(claim.trial_id)
        stored = newest_record(trial, self._store.study.user_attrs)
        return replace(stored or Record(""), owner=claim.lease.owner)

    def _newest(self, claim: Claim, record: Record) -> Record:
        """The record with how far the trial is."""
        point = newest_point(self._store.spec, claim.number) or Point(0, 0, seconds=0.0)
        return replace(
            record,
            step=point.step,
            tokens=point.tokens,
            seconds=point.seconds or 0.0,
            lost=read_lost(self._folder(claim)),
            last_words=last_words(self._store.spec, claim.number),
        )

    def _note(self, claim: Claim, record: Record) -> bool:
        trial = self._store.storage.get_trial(claim.trial_id)
        is_mine = was_ended_by(trial, claim.lease.owner)
        if is_mine:  # for good: nobody else writes this
            key = f"{attrs.LATE_ARTIFACT}{claim.number}"
            self._store.study.set_user_attr(key, record.as_dict())
        elif is_mine := self._store.annotate_held(claim, {attrs.ARTIFACT: record.as_dict()}):
            self._records[claim.number] = record
        else:
            self._claims.pop(claim.number, None)
        return is_mine

    def _folder(self, claim: Claim) -> Path:
        return trial_folder(self._store.spec, claim.number)

    def _pay_patiently(self, place: Place) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            with suppress(PlaceAway, *_MET_ELSEWHERE):
                self._debts.pay(lambda claim: self._send(place, claim, has_ended=True))
            numbers = self._debts.numbers()
            if not numbers:
                return
            if time.monotonic() > deadline or self._is_leaving():
                _log.warning(
                    "artifacts: what trial %s left is in this machine's folder alone, and is sent "
                    "when a worker is started here again",
                    ", ".join(map(str, numbers)),
                )
                return
            time.sleep(_PAUSE_SECONDS)

    def _say_away(self, claim: Claim, error: Exception) -> None:
        if not self._is_away:
            _log.warning(
                "artifacts: trial %d cannot be sent (%s); training goes on, and it is sent later",
                claim.number,
                error,
            )
        self._is_away = True

    def _say_back(self) -> None:
        if self._is_away:
            _log.warning("artifacts: trials are being sent again")
        self._is_away = False


def _shortened(names: tuple[str, ...]) -> tuple[str, ...]:
    """Of too many, the first and the last: what was tried in the midst of an outage left nothing.

    The first may be whole in the place that did not come to say so.
    """
    half = _MOST_ANNOUNCED // 2
    return names if len(names) <= _MOST_ANNOUNCED else (*names[:half], *names[-half:])


def send_owed(store: StudyStore) -> None:
    """Send, once, what workers in this folder could not."""
    if store.spec.artifacts is not None and Debts(store).numbers():
        with Shipping(store, lambda: True):
            pass  # its leave pays

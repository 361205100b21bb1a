"""Many workers at once on one study, on each kind of storage."""

from __future__ import annotations

from contextlib import ExitStack

from sweeper.study import StudySpec
from tests.faults.crew import prepared, worker
from tests.faults.field import Field
from tests.faults.ground import scripted_study
from tests.faults.invariants import Examination
from tests.faults.tally import Tally, hold
from tests.servers import PostgresServer, Proxy

_TRIALS = 200


def crowd_sqlite(field: Field, strikes: int) -> Tally:
    """See `_crowd`."""
    return _crowd(field, strikes, "default")


def crowd_journal(field: Field, strikes: int) -> Tally:
    """See `_crowd`."""
    return _crowd(field, strikes, "study.log")


def crowd_postgres(field: Field, strikes: int) -> Tally:
    """See `_crowd`."""
    with PostgresServer() as server:
        return _crowd(field, strikes, server.url)


def crowd_proxy(field: Field, strikes: int) -> Tally:
    """See `_crowd`."""
    spec = _study(field, "default")  # there must be a file to be served
    proxy = Proxy(spec.path)
    proxy.start()
    try:
        return _crowd(field, strikes, proxy.url)
    finally:
        proxy.kill()


def _crowd(field: Field, strikes: int, storage: str) -> Tally:
    """So many workers share 200 short trials; each is trained once, by one of them."""
    whole = field.whole(scripted_study, _TRIALS)
    spec = _study(field, storage)
    order = prepared(spec)
    with ExitStack() as stack:
        workers = [stack.enter_context(worker(order)) for _ in range(strikes)]
        for each in workers:
            assert (error := each.report().error) is None, error
    tally = Tally(strikes=strikes)
    hold(tally, Examination(spec, whole))
    return tally


def _study(field: Field, storage: str) -> StudySpec:
    return field.struck(scripted_study, 0, _TRIALS, storage=storage)

"""A storage's server that goes away while workers train, and comes back."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from random import Random

from sweeper.search.workers.orders import WorkReport
from sweeper.study import StudySpec
from tests.faults.crew import AS_EVER, Terms, Worker, prepared, progress_of, wait_for, worker
from tests.faults.field import Field
from tests.faults.ground import trained_study
from tests.faults.invariants import Examination, Witness
from tests.faults.tally import Tally, hold
from tests.servers import PostgresServer, Proxy

_TRIALS = 12
_WORKERS = 2
_CURVE_BYTES = 2_000  # of a trial
_LONGEST_S = 2.0  # that a server stays away


def restart_postgres(field: Field, strikes: int) -> Tally:
    """PostgreSQL is ended as by an administrator, and as by a power cut, in turn."""
    random = Random(strikes)

    def strike(server: PostgresServer) -> None:
        server.stop(random.choice(("fast", "immediate")))
        time.sleep(random.uniform(0, _LONGEST_S))
        server.start()

    return _strike_postgres(field, strike, strikes, random)


def stop_postgres(field: Field, strikes: int) -> Tally:
    """SIGSTOP of all processes of PostgreSQL, past what an answer may take."""
    random, call_s = Random(strikes), 1.0

    def strike(server: PostgresServer) -> None:
        server.signal(signal.SIGSTOP)
        time.sleep(2 * call_s + random.uniform(0, _LONGEST_S))
        server.signal(signal.SIGCONT)

    return _strike_postgres(field, strike, strikes, random, Terms(call_s=call_s))


def _strike_postgres(
    field: Field,
    strike: Callable[[PostgresServer], None],
    strikes: int,
    random: Random,
    terms: Terms = AS_EVER,
) -> Tally:
    tally = Tally()
    with PostgresServer() as server:
        while tally.strikes < strikes:
            name = f"struck {tally.studies}"
            spec = field.struck(
                trained_study, tally.studies, _TRIALS, storage=server.url, name=name
            )
            go = partial(strike, server)
            _strike_while_trained(field, spec, go, tally, strikes, random, terms)
    return tally


def kill_proxy(field: Field, strikes: int) -> Tally:
    """SIGKILL of `sweeper storage serve`, which is started again on its port."""
    random = Random(strikes)

    def strike(proxy: Proxy) -> None:
        proxy.kill()
        time.sleep(random.uniform(0, _LONGEST_S))
        proxy.start()

    return _strike_proxy(field, strike, strikes, random)


def stop_proxy(field: Field, strikes: int) -> Tally:
    """SIGSTOP of `sweeper storage serve`, past what a call may take: it is there, and silent."""
    random, call_s = Random(strikes), 1.0

    def strike(proxy: Proxy) -> None:
        proxy.signal(signal.SIGSTOP)
        time.sleep(2 * call_s + random.uniform(0, _LONGEST_S))
        proxy.signal(signal.SIGCONT)

    return _strike_proxy(field, strike, strikes, random, Terms(call_s=call_s))


def _strike_proxy(
    field: Field,
    strike: Callable[[Proxy], None],
    strikes: int,
    random: Random,
    terms: Terms = AS_EVER,
) -> Tally:
    tally = Tally()
    while tally.strikes < strikes:
        proxy = Proxy(field.folder / f"struck-{tally.studies}" / "study.yaml")
        spec = field.struck(trained_study, tally.studies, _TRIALS, storage=proxy.url)
        proxy.start()
        try:
            go = partial(strike, proxy)
            _strike_while_trained(field, spec, go, tally, strikes, random, terms)
        finally:
            proxy.kill()
    return tally


def _strike_while_trained(
    field: Field,
    spec: StudySpec,
    strike: Callable[[], None],
    tally: Tally,
    strikes: int,
    random: Random,
    terms: Terms = AS_EVER,
) -> None:
    """Two workers train the whole study, whatever happens to its storage."""
    order, witness = prepared(spec), Witness(spec)
    with ExitStack() as stack:
        workers = [stack.enter_context(worker(order, terms)) for _ in range(_WORKERS)]
        while tally.strikes < strikes and _train_on(spec, workers, random):
            strike()
            tally.strikes += 1
            witness.look()
        reports = [each.report() for each in workers]
    assert reports == [WorkReport()] * _WORKERS, reports
    witness.look()
    assert not (spec.output_folder / "spool.jsonl").exists(), "something was never sent"
    hold(tally, Examination(spec, field.whole(trained_study)))


def _train_on(spec: StudySpec, workers: list[Worker], random: Random) -> bool:
    """Let the study come further by up to two trials; whether anybody still trains then."""
    target = progress_of(spec) + random.randrange(2 * _CURVE_BYTES)

    def all_ended() -> bool:
        return not any(each.is_alive for each in workers)

    def has_come_so_far() -> bool:
        return all_ended() or progress_of(spec) > target

    wait_for(has_come_so_far)
    return not all_ended()

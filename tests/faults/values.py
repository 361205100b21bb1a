"""Faults of a trial itself: its losses, its memory, and a trial that kills whoever trains it."""

from __future__ import annotations

import textwrap

import pytest
from optuna.trial import TrialState

from sweeper.curves import StopReason
from sweeper.search import attributes as attrs
from tests.faults.crew import (
    Terms,
    finish,
    prepared,
    progress_of,
    wait_for,
    worker,
)
from tests.faults.field import Field
from tests.faults.ground import SCRIPT, scripted_study, trained_study
from tests.faults.invariants import Examination, Witness
from tests.faults.program import program
from tests.faults.tally import Tally, hold

_TRIALS = 6
_SICK = 2
_LAST = _TRIALS - 1

# Each happens to the sick trial alone, which knows itself by its learning rate.
_NON_FINITE = """
    if {sick}:
        print("step 0: val loss 5.0\\nstep 1: val loss {loss}", flush=True)
        time.sleep(60)
"""
_STARVED = """
    if {sick}:
        import resource
        resource.setrlimit(resource.RLIMIT_AS, (1 << 28, 1 << 28))
        print("step 0: val loss 5.0", flush=True)
        bytearray(1 << 30)
"""
# Above a command stand the keeper, the process that trains by it, the server that this was forked
# from, and the worker.
_POISON = """
    if {sick}:
        import signal
        print("step 0: val loss 5.0", flush=True)
        time.sleep(0.5)
        victim = os.getppid()
        for _ in range({above_keeper}):
            stat = pathlib.Path(f"/proc/{{victim}}/stat").read_text()
            victim = int(stat.rpartition(")")[2].split()[1])
        os.kill(victim, signal.SIGKILL)
        time.sleep(60)
"""
_ITS_TRAINER, _ITS_WORKER = "1", "3"


def _with(sickness: str, number: int = _SICK, **values: str) -> str:
    """The healthy script with a sickness of one trial, at the place where it knows its rate."""
    sick = f"abs(rate - {1e-3 * 1.03**number!r}) < 1e-9"
    own = textwrap.indent(textwrap.dedent(sickness.format(sick=sick, **values)), " " * 4)
    head, mark, tail = SCRIPT.partition("    path = folder")
    return head + own + mark + tail


def say_nan(field: Field, strikes: int) -> Tally:
    """A loss of NaN, or of infinity in either direction, ends the trial as a value."""
    tally = Tally()
    whole = field.whole(scripted_study)
    for number, loss in zip(range(strikes), ("nan", "inf", "-inf"), strict=False):
        spec = field.struck(scripted_study, number, _TRIALS, _with(_NON_FINITE, loss=loss))
        finish(prepared(spec))
        _expect(tally, Examination(spec, whole, frozenset({_SICK})), StopReason.NON_FINITE)
    return tally


def starve_command(field: Field, strikes: int) -> Tally:
    """A command that meets the end of its address space ends as out of memory, and by itself.

    The last one, as what did not fit is not tried again.
    """
    whole = field.whole(scripted_study)
    tally = Tally()
    for number in range(strikes):
        spec = field.struck(scripted_study, number, _TRIALS, _with(_STARVED, _LAST))
        finish(prepared(spec))
        _expect(tally, Examination(spec, whole, frozenset({_LAST})), StopReason.OUT_OF_MEMORY)
    return tally


def starve_worker(field: Field, strikes: int) -> Tally:
    """A worker with next to no address space left; another has enough and does the rest.

    Where memory ends is not ours to choose: the trial ends as out of memory, or the worker does.
    """
    whole = field.whole(trained_study)
    tally = Tally()
    for number in range(strikes):
        spec = field.struck(trained_study, number, _TRIALS)
        order, witness = prepared(spec), Witness(spec)
        with worker(order) as first:  # without a baseline there is no study
            wait_for(lambda spec=spec: progress_of(spec) > 2_500)
            first.kill()
        with worker(order, Terms(memory_bytes=number << 22)) as starving:
            starving.wait()
        witness.look()
        finish(order)
        witness.look()
        tally.strikes += 1
        examination = Examination(spec, whole)
        starved = [t.number for t in examination.trials if _is_starved(t.user_attrs)]
        hold(tally, Examination(spec, whole, frozenset(starved)))
    return tally


def _is_starved(values: dict[str, object]) -> bool:
    memory = ("MemoryError", "memory", "RuntimeError: unable to mmap")
    return values[attrs.STOP_REASON] == StopReason.OUT_OF_MEMORY.value or any(
        word in str(values.get(attrs.EVIDENCE)) for word in memory
    )


def poison_loky(field: Field, strikes: int) -> Tally:
    """See `_poison`."""
    return _poison(field, strikes, "loky", [_ITS_TRAINER])


def poison_dask(field: Field, strikes: int) -> Tally:
    """See `_poison`; on a cluster the worker itself may die too, and another is sent out."""
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    return _poison(field, strikes, "dask", [_ITS_TRAINER, _ITS_WORKER])


def poison_ray(field: Field, strikes: int) -> Tally:
    """See `_poison`; on a cluster the worker itself may die too, and another is sent out."""
    pytest.importorskip("ray", reason="the extra ray is not installed")
    return _poison(field, strikes, "ray", [_ITS_TRAINER, _ITS_WORKER])


def _poison(field: Field, strikes: int, backend: str, victims: list[str]) -> Tally:
    """A trial that kills whoever trains it each time: it is given up, the others are trained."""
    whole = field.whole(scripted_study)
    tally = Tally()
    for number in range(strikes):
        script = _with(_POISON, above_keeper=victims[number % len(victims)])
        workers = {"count": 2, "backend": backend, "threads": 1}
        spec = field.struck(scripted_study, number, _TRIALS, script, workers=workers)
        with program(spec) as called:
            code, said = called.wait()
            assert code == 0, said
            wait_for(lambda called=called: not called.left(), poll_s=0.1)
        examination = Examination(spec, whole)
        assert _SICK in examination.given_up
        tally.strikes += 1
        hold(tally, examination)
    return tally


def _expect(tally: Tally, examination: Examination, reason: StopReason) -> None:
    """The sick trial ended for this reason; all the others as ever."""
    (sick,) = examination.may_fail
    assert examination.trials[sick].user_attrs[attrs.STOP_REASON] == reason.value
    completed = {t.number for t in examination.trials if t.state is TrialState.COMPLETE}
    assert completed == set(range(_TRIALS)) - {sick}
    tally.strikes += 1
    hold(tally, examination)

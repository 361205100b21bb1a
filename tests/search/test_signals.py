"""Which signals ask to leave, and what a program's exit code then says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from sweeper.search.workers.signals import exit_code, leaving_signals

SLURM = {"SLURM_JOB_ID": "42"}
KUBERNETES = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}


@pytest.mark.parametrize(
    ("number", "environment", "code"),
    [
        (signal.SIGINT, {}, 130),
        (signal.SIGTERM, {}, 143),
        (signal.SIGUSR1, {}, 75),
        (signal.SIGTERM, SLURM, 75),
        (signal.SIGTERM, KUBERNETES, 75),
        (signal.SIGINT, SLURM, 130),  # a person at the terminal of an interactive job
    ],
)
def test_the_exit_code_tells_who_asked(number: int, environment: dict[str, str], code: int) -> None:
    assert exit_code(number, environment) == code


@pytest.mark.parametrize(
    ("number", "environment", "code"),
    [(signal.SIGTERM, {}, 143), (signal.SIGTERM, KUBERNETES, 75), (signal.SIGUSR1, SLURM, 75)],
)
@pytest.mark.parametrize("busy_with", ["time.sleep(60)", "call_back(); time.sleep(60)"])
def test_before_a_study_is_under_way_the_program_leaves_at_once_and_says_why(
    number: int, environment: dict[str, str], code: int, busy_with: str
) -> None:
    """Also out of a callback, where Python drops whatever is raised."""
    program = f"""
import os, time, weakref
from sweeper.search.workers.signals import leaving_at_once
class Thing: pass
def call_back():
    thing = Thing()
    watch = weakref.ref(thing, lambda _: (print("here", flush=True), time.sleep(60)))
    del thing
with leaving_at_once():
    if {"call_back" not in busy_with}: print("here", flush=True)
    {busy_with}
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == b"here\n"
        process.send_signal(number)
        assert process.wait(60) == code


def test_signals_are_collected_in_order_and_handlers_are_put_back() -> None:
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    told: list[int] = []

    with leaving_signals(told.append) as received:
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGTERM)

    assert received == [signal.SIGUSR1, signal.SIGTERM]
    assert told == [1, 2]
    assert {number: signal.getsignal(number) for number in before} == before


@pytest.mark.parametrize(
    ("number", "count"), [(signal.SIGTERM, 1), (signal.SIGUSR1, 1), (signal.SIGINT, 2)]
)
def test_a_schedulers_signal_that_comes_on_two_ways_is_one(number: int, count: int) -> None:
    """But a person who presses Ctrl-C twice means it."""
    with leaving_signals(lambda _: None) as received:
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
    assert received == [number] * count


def test_a_thread_leaves_signals_to_the_main_one() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen: list[object] = []

    def look() -> None:
        with leaving_signals(lambda _: None):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [before]

"""A study's journal, cut in the midst of a line."""

from __future__ import annotations

from pathlib import Path
from random import Random

from tests.faults.crew import finish, prepared
from tests.faults.field import Field
from tests.faults.ground import trained_study
from tests.faults.invariants import Examination, Witness
from tests.faults.kills import kill_one
from tests.faults.tally import Tally, hold

_TRIALS = 12


def cut_journal(field: Field, strikes: int) -> Tally:
    """SIGKILL of a worker at any moment, and its last record cut anywhere: the next mends it.

    One that had not written anything yet was in the midst of nothing: what is there is others'.
    """
    random = Random(strikes)
    whole = field.whole(trained_study)
    tally = Tally()
    while tally.strikes < strikes:
        spec = field.struck(trained_study, tally.studies, _TRIALS, storage="study.log")
        order, witness = prepared(spec), Witness(spec)
        journal = spec.folder / "study.log"
        while tally.strikes < strikes:
            size = journal.stat().st_size
            if not kill_one(order, random):
                break
            if journal.stat().st_size == size:
                continue
            half = _cut_last_line(journal, random)
            witness.look()  # opens the journal, as whoever comes next would
            assert (spec.folder / "study.log.cut").read_bytes().endswith(b": %s\n" % half)
            tally.strikes += 1
        finish(order)
        witness.look()
        hold(tally, Examination(spec, whole))
    return tally


def _cut_last_line(path: Path, random: Random) -> bytes:
    """What is left of it: a byte at least, and not all of them."""
    *before, last = path.read_bytes().splitlines(keepends=True)
    half = last[: random.randrange(1, len(last))]
    path.write_bytes(b"".join([*before, half]))
    return half

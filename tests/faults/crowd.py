"""Many workers at once on one study."""

from __future__ import annotations

from contextlib import ExitStack

from tests.faults.crew import prepared, worker
from tests.faults.field import Field
from tests.faults.ground import scripted_study
from tests.faults.invariants import Examination
from tests.faults.tally import Tally, hold

_TRIALS = 200


def crowd(field: Field, strikes: int) -> Tally:
    """So many workers share 200 short trials; each is trained once, by one of them."""
    whole = field.whole(scripted_study, _TRIALS)
    spec = field.struck(scripted_study, 0, _TRIALS)
    order = prepared(spec)
    with ExitStack() as stack:
        workers = [stack.enter_context(worker(order)) for _ in range(strikes)]
        for each in workers:
            assert each.report().error is None
    tally = Tally(strikes=strikes)
    hold(tally, Examination(spec, whole))
    return tally

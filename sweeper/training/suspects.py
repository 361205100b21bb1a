"""Which of a run's batches are suspected of a spike, and which others can stand in for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from sweeper.data import Detour, TokenStream
from sweeper.training.course import Course

NUM_STAND_INS = 5  # so that one lucky batch does not decide
_MOST_TRIED = 50  # places to look for stand-ins, in a corpus that hardly holds other documents


@dataclass(frozen=True)
class Suspects:
    """The batches around an onset that may be to blame.

    Attributes:
        steps: Before the onset, whose update led there, and the onset, whose loss was high.
        last_step: Of those that are replaced: as long as batches go on with a document of the
            onset's, for a bad passage may fill more than one of them.
        stand_ins: The stream, but for other tokens at all these steps: from beyond what the run
            has read, and from other documents as far as the corpus has them.
    """

    steps: tuple[int, ...]
    last_step: int
    stand_ins: tuple[Detour, ...]


def find_suspects(
    course: Course, stream: TokenStream, *, onset_step: int, after_step: int, end_step: int
) -> Suspects:
    """The suspects of a spike.

    Args:
        course: The run's.
        stream: The run's.
        onset_step: The first step whose loss is high.
        after_step: A step before all that can be replaced.
        end_step: The last that is taken again.
    """
    steps = tuple(step for step in (onset_step - 1, onset_step) if step > after_step)
    passage = _documents(course, stream, onset_step, onset_step)
    last_step = onset_step
    while last_step < end_step and passage & _documents(
        course, stream, last_step + 1, last_step + 1
    ):
        last_step += 1
    start, end = course.tokens_after(steps[0] - 1), course.tokens_after(last_step)
    stand_ins = islice(_stand_ins(course, stream, start, end), NUM_STAND_INS)
    return Suspects(steps, last_step, tuple(stand_ins))


def _documents(course: Course, stream: TokenStream, first_step: int, last_step: int) -> set[int]:
    """Indices of the documents that some steps predict tokens of."""
    start, end = course.tokens_after(first_step - 1), course.tokens_after(last_step)
    return {location.document for location, _ in stream.passages(start + 1, end - start)}


def _stand_ins(course: Course, stream: TokenStream, start: int, end: int) -> Iterator[Detour]:
    """Detours around `[start, end)`, those through other documents first."""
    count = end - start
    suspected = {location.document for location, _ in stream.passages(start + 1, count)}
    akin = []
    for number in range(_MOST_TRIED):
        beyond = course.total_tokens + number * count
        detour = Detour(stream, start, end, beyond - start)
        read = {location.document for location, _ in stream.passages(beyond + 1, count)}
        if suspected & read:
            akin.append(detour)
        else:
            yield detour
    yield from akin

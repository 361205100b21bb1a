"""How a client of the proxy asks for the study's lock: by names that no study has.

Optuna's proxy has Optuna's operations and no others. The one that finds a study by its name takes
a text and gives a number, so a lock is asked for with it; a proxy that is not ours knows no study
of such a name, and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

_MARK = "sweeper-lock"
Verb = Literal["acquire", "confirm", "release"]
GRANTED = 1
LOST = 0  # to one who confirms: it does not have the lock any more
# Places in the queue whose ask is kept until it is their turn, each by a thread of the server; who
# comes after them is answered at once.
NEXT_IN_TURN = 8


def waiting_at(place: int) -> int:
    """The answer to one who has to wait.

    Args:
        place: In the queue, 1 for the next.
    """
    return -place


def place_in(answer: int) -> int:
    """The place in the queue, from 1, that an answer other than GRANTED tells."""
    return max(-answer, 1)


@dataclass(frozen=True)
class LockWords:
    """One request.

    Attributes:
        verb: What is asked for.
        token: Who asks: the same asks again without harm.
        study: Whose lock.
    """

    verb: Verb
    token: str
    study: str

    def as_name(self) -> str:
        """The name to look for."""
        return f"{_MARK}:{self.verb}:{self.token}:{self.study}"

    @classmethod
    def read(cls, name: str) -> LockWords | None:
        """The request in a name; None where it is a study's."""
        mark, *parts = name.split(":", 3)
        if mark != _MARK or len(parts) != 3:
            return None
        verb, token, study = parts
        return cls(_verb(verb), token, study)


def _verb(word: str) -> Verb:
    for verb in get_args(Verb):
        if word == verb:
            return verb  # type: ignore[no-any-return]
    raise KeyError(f"there is nothing to {word} of a lock")

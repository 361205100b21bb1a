"""What the trials of a planned study stand on: the user's command, their base, or a stand-in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from sweeper.diagnosis.cause import Cause, Verdict
from sweeper.diagnosis.spelling import text_in_yaml
from sweeper.models.tiny import POSITIONS
from sweeper.study import CommandEngine, DataSpec
from sweeper.study.quantities import Source

STAND_IN_DATA = "builtin:pydoc-qa"
_UNTRAINED = "untrained-base"


@dataclass(frozen=True)
class Ground:
    """What trains, and on what.

    Attributes:
        command: The user's command as YAML; empty where our own engine trains.
        model: The base; empty with a command.
        data: The corpus; empty with a command.
        model_stands_in: Whether the base is ours and only stands in for the run's.
        data_stands_in: Whether the corpus is.
        longest_block: Positions of a base of ours; None for any other.
    """

    command: str = ""
    model: str = ""
    data: str = ""
    model_stands_in: bool = False
    data_stands_in: bool = False
    longest_block: int | None = None

    @property
    def is_command(self) -> bool:
        """Whether the user's own script trains."""
        return bool(self.command)


def choose_ground(
    causes: Sequence[Cause], model: str | None, data: str | None, command: str | None
) -> Ground:
    """The user's own where it was given and can be written down; else a stand-in."""
    if command is not None and command.strip():
        return Ground(command=command_in_yaml(command))
    own_model = model if model and _is_source(model, ("tiny", "untrained")) else None
    own_data = data if data and _is_data(data) else None
    base = own_model or ("builtin:untrained" if is_untrained(causes) else "builtin:tiny")
    return Ground(
        model=base,
        data=own_data or STAND_IN_DATA,
        model_stands_in=own_model is None,
        data_stands_in=own_data is None,
        longest_block=POSITIONS if base.startswith("builtin:") else None,
    )


def is_untrained(causes: Sequence[Cause]) -> bool:
    """Whether the base is thought to be untrained."""
    return any(c.id == _UNTRAINED and c.verdict is Verdict.SUPPORTED for c in causes)


def command_in_yaml(command: str) -> str:
    """The command as the study file takes it; through a shell where it needs one."""
    line = command.strip()
    try:
        CommandEngine.model_validate({"command": line})
    except ValidationError:
        return f"[sh, -c, {text_in_yaml(line)}]"
    return text_in_yaml(line)


def _is_source(text: str, builtins: tuple[str, ...]) -> bool:
    try:
        Source(builtins, "").check(text)
    except ValueError:
        return False
    return True


def _is_data(text: str) -> bool:
    try:
        DataSpec.model_validate({"train": text})
    except ValidationError:
        return False
    return True

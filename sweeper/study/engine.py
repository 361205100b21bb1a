"""What trains a trial: our own engines, or a command of the user's."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic.json_schema import JsonSchemaValue

from sweeper.study.hyperparameters import Hyperparameters
from sweeper.study.problems import (
    MISSING_KEY,
    UNKNOWN_KEY,
    Issue,
    issues_of,
    refusal,
    shown,
    unknown,
    wrong,
)
from sweeper.study.quantities import Duration, Quantity
from sweeper.study.section import Section

_WORDS = ("auto", "packed", "peft")
_SHELL_ONLY = re.compile(r"[();<>|&]+|\d?>.*|`.*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LOSSES = ("train_loss", "val_loss")

# What a command is told beside the hyperparameters.
_TOLD = {
    "total_steps": "TRAINING_STEPS",
    "total_tokens": "TRAINING_TOKENS",
    "warmup_steps": "WARMUP_STEPS",
    "evaluate_every_steps": "EVAL_INTERVAL",
    "trial_folder": "TRIAL_FOLDER",
    "resume": "RESUME",
}
# A process needs these for what they are.
_FOR_PROGRAMS = ("PATH", "HOME", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONUNBUFFERED")
_FOR_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# Launchers of parallel training read RANK as a process's place: a script that
# sees it waits for partners that never come.
_OTHER_NAMES = {"rank": "LORA_RANK"}

DEFAULT_VARIABLES: Mapping[str, str] = {
    **{name: name.upper() for name in Hyperparameters.model_fields},
    **_OTHER_NAMES,
    **_TOLD,
}


@dataclass(frozen=True)
class _CommandLine(Quantity):
    """A program with its arguments: one line, split like a shell's but run by none, or a list."""

    _allowed = "allowed: a program with its arguments, such as `python training.py`, or a list"

    def check(self, value: Any) -> tuple[str, ...]:
        words = self._split(value) if isinstance(value, str) else value
        if not isinstance(words, (list, tuple)):
            raise wrong(f"expected a command, got {shown(value)} ({self._allowed})")
        if not words:
            raise wrong(f"the command is empty ({self._allowed})")
        for word in words:
            if not isinstance(word, str) or "\0" in word:
                raise wrong(f"cannot use {shown(word)} as a word; put it in quotes")
        if not words[0]:
            raise wrong(f"the program has no name ({self._allowed})")
        if "=" in words[0]:
            message = f"{shown(words[0])} sets a variable and is no program"
            raise wrong(f"{message} (allowed: variables under engine.env, or [env, ...])")
        return tuple(words)

    def _split(self, line: str) -> list[str]:
        try:
            words = shlex.split(line)
            raw = shlex.split(line, posix=False)
        except ValueError as error:
            message = f"cannot split {shown(line)} into words: {str(error).lower()}"
            raise wrong(f"{message} ({self._allowed})") from error
        for word in raw:
            if _SHELL_ONLY.fullmatch(word) or word.endswith(";"):
                message = f"{shown(word)} is for a shell, and the command is run without one"
                raise wrong(f"{message} (allowed: [sh, -c, '...'], or a script of your own)")
        return words

    def json_schema(self) -> JsonSchemaValue:
        line = {"type": "string", "minLength": 1, "examples": ["python training.py"]}
        return {
            "anyOf": [line, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
        }


@dataclass(frozen=True)
class _Variables(Quantity):
    """Other names for the variables that a command is given, by what they say."""

    def check(self, value: Any) -> dict[str, str]:
        if not isinstance(value, Mapping):
            raise wrong(f"expected a mapping of names to variables, got {shown(value)}")
        wrong_entries = [*self._wrong_entries(value)]
        wrong_names = {issue.path[0] for issue in wrong_entries}
        right = {name: value[name] for name in value if name not in wrong_names}
        if issues := [*wrong_entries, *self._twice(right)]:
            raise refusal("Variables", issues)
        # In the order of the defaults, so that the order in the file has no effect.
        return {name: value[name] for name in DEFAULT_VARIABLES if name in value}

    def _wrong_entries(self, given: Mapping[str, object]) -> Iterator[Issue]:
        for name, variable in given.items():
            if name not in DEFAULT_VARIABLES:
                yield Issue((name,), unknown(name, [*DEFAULT_VARIABLES], "key"), UNKNOWN_KEY)
            elif not isinstance(variable, str) or not _VARIABLE.fullmatch(variable):
                allowed = "allowed: letters, digits and _, such as BLOCK_SIZE"
                yield Issue((name,), f"cannot use {shown(variable)} as a variable ({allowed})")
            elif variable in (*_FOR_PROGRAMS, *_FOR_THREADS):
                message = f"{variable} means something else to every program"
                yield Issue((name,), f"{message} (allowed: a variable of its own)")

    def _twice(self, given: Mapping[str, str]) -> Iterator[Issue]:
        taken = {v: n for n, v in DEFAULT_VARIABLES.items() if n not in given}
        for name, variable in given.items():
            if variable in taken:
                message = f"{variable} already says {taken[variable]}"
                yield Issue((name,), f"{message} (allowed: a variable of its own)")
            taken[variable] = name

    def json_schema(self) -> JsonSchemaValue:
        variable = {"type": "string", "pattern": f"^{_VARIABLE.pattern}$"}
        properties = {
            name: variable | {"description": f"Variable for {name}; {default} if not given."}
            for name, default in DEFAULT_VARIABLES.items()
        }
        return {"type": "object", "additionalProperties": False, "properties": properties}


@dataclass(frozen=True)
class _LinePattern(Quantity):
    """A regular expression that finds a step and a loss in a line."""

    def check(self, value: Any) -> str:
        allowed = (
            "allowed: a regular expression with the groups (?P<step>...) and (?P<val_loss>...)"
        )
        if not isinstance(value, str) or not value:
            raise wrong(f"expected a regular expression, got {shown(value)} ({allowed})")
        try:
            groups = re.compile(value).groupindex
        except re.error as error:
            raise wrong(f"{shown(value)} is no regular expression: {error} ({allowed})") from error
        if "step" not in groups or not any(loss in groups for loss in _LOSSES):
            names = ", ".join(groups) or "none"
            losses = " or ".join(_LOSSES)
            raise wrong(f"needs the named groups step and {losses}; it has {names} ({allowed})")
        return value

    def json_schema(self) -> JsonSchemaValue:
        return {"type": "string", "format": "regex", "minLength": 1}


class CommandEngine(Section):
    """The user's own training script: one process per trial, told by variables, read by its output.

    Values of variables are plain decimal text. A hyperparameter that is null has no variable.
    """

    command: Annotated[tuple[str, ...], _CommandLine()] = Field(
        description="A program with its arguments, run in the study file's folder. Split into "
        "words like a shell's line, but no shell runs it: no pipes, no $VARIABLES, no wildcards."
    )
    env: Annotated[dict[str, str], _Variables()] = Field(
        default_factory=dict,
        description="Names of environment variables, where the script wants others than the "
        "hyperparameters' own in capitals.",
    )
    metrics: Literal["auto", "regex", "jsonl"] = Field(
        "auto",
        description="Where the output says a step and its losses: in any form that sweeper "
        "knows, in lines that match the pattern, or in lines of JSON.",
    )
    pattern: Annotated[str, _LinePattern()] | None = Field(
        None,
        description="With metrics: regex, a regular expression with the named groups step and "
        "val_loss or train_loss.",
    )
    grace_s: Annotated[float, Duration()] = Field(
        10.0,
        alias="grace",
        description="Time for the script to save and leave after SIGTERM, before SIGKILL.",
    )

    @model_validator(mode="after")
    def _pattern_where_it_counts(self) -> Self:
        if issues := [*_pattern_issues(self.metrics, self.pattern)]:
            raise refusal("CommandEngine", issues)
        return self

    @property
    def variables(self) -> dict[str, str]:
        """The name of every variable that the script is given, by what it says."""
        return {**DEFAULT_VARIABLES, **self.env}

    @property
    def script(self) -> str | None:
        """The Python file that the command runs; None where that is not plain to see."""
        program, *arguments = self.command
        if not re.fullmatch(r"(.*/)?python[0-9.]*", program):
            return None
        first = next((word for word in arguments if word not in ("-u", "-B", "-O", "-I")), "")
        return first if first.endswith(".py") else None

    @property
    def line(self) -> str:
        """The command as one line that a shell would read back as the same words."""
        return shlex.join(self.command)


def _pattern_issues(metrics: object, pattern: object) -> Iterator[Issue]:
    if metrics == "regex" and pattern is None:
        message = "metrics: regex needs a pattern (allowed: a regular expression)"
        yield Issue(("pattern",), message, MISSING_KEY)
    if metrics in ("auto", "jsonl") and pattern is not None:
        message = f"metrics: {metrics} reads no pattern (allowed with metrics: regex)"
        yield Issue(("pattern",), message)


@dataclass(frozen=True)
class EngineForm(Quantity):
    """An engine of ours by its name, or a command's settings."""

    def check(self, value: Any) -> str | CommandEngine:
        if isinstance(value, CommandEngine):
            return value
        if isinstance(value, Mapping):
            try:
                return CommandEngine.model_validate(value)
            except ValidationError as error:
                # Pydantic skips the check between keys once any key has failed.
                between = _pattern_issues(value.get("metrics", "auto"), value.get("pattern"))
                issues = issues_of(error)
                judged = {issue.path for issue in issues}
                issues += [issue for issue in between if issue.path not in judged]
                raise refusal("Engine", issues) from error
        if value in _WORDS:
            return str(value)
        raise wrong(unknown(value, [*_WORDS, "{command: ...}"]))

    def json_schema(self) -> JsonSchemaValue:
        schema = CommandEngine.model_json_schema(by_alias=True)
        return {"anyOf": [{"enum": [*_WORDS]}, schema]}

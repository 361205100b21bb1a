"""How a run was set up: from what was given, and from what its log itself shows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic_core import PydanticCustomError

from sweeper.diagnosis.case import ModelFacts, RunConfig
from sweeper.diagnosis.config_files import Setting, Source, read_source
from sweeper.diagnosis.config_names import Meaning, Unmapped, meaning_of, unknown_key
from sweeper.diagnosis.logged import logged_facts
from sweeper.errors import BaseError, UsageError
from sweeper.logs import Log
from sweeper.study.problems import wrong

LOG_ORIGIN = "log"
# A log shows a rate every so many steps: its highest is near the peak, not on it.
_SAME_RATE = 0.02
# What says something only together with another setting; see `meaning_of`.
_PARTIAL = ("warmup_steps", "warmup_share", "min_lr", "decay_end_steps", "after_warmup_steps")


def settings_of_log(log: Log) -> Source:
    """What the log itself prints of its run's hyperparameters."""
    settings = (Setting(key, value, LOG_ORIGIN) for key, value in log.settings.items())
    return Source(log.source, tuple(settings), is_given=False)


def settings_of_model(facts: ModelFacts, folder: Path) -> Source:
    """What a base says of its own shape, and its weights of their past.

    Args:
        facts: The base.
        folder: What a relative directory is relative to.
    """
    from sweeper.diagnosis.model import base_folder  # costs time that most diagnoses can save

    settings = [
        Setting("vocab_size", facts.vocab_size, facts.source),
        Setting("hidden_size", facts.hidden_size, facts.source),
    ]
    with suppress(BaseError):  # an embedded base that has not been made here yet
        settings += read_source(str(base_folder(facts.source, folder) / "config.json")).settings
    if facts.looks_untrained is not None:
        settings.append(Setting("pretrained", not facts.looks_untrained, "weights"))
    return Source(facts.source, tuple(settings), is_given=False)


def merge_config(sources: Iterable[Source], log: Log) -> RunConfig:
    """One configuration of many sources.

    Args:
        sources: Later ones win where they disagree.
        log: Whose columns fill in what no source says.

    Raises:
        UsageError: Settings that are impossible, or flags that mean nothing; all of them at once.
    """
    merged = _Merged()
    problems = [problem for source in sources for problem in merged.add(source)]
    if not problems:
        problems += merged.combine()
    if problems:
        raise UsageError("\n".join(problems))
    return _with_logged(merged.config(), log)


@dataclass
class _Merged:
    """Grows by one source after the other."""

    values: dict[str, object] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, source: Source) -> Iterator[str]:
        """Take a source in; yields what is wrong with it, if the user gave it."""
        said: dict[str, tuple[object, str]] = {}
        self.notes += source.notes
        for setting in source.settings:
            try:
                meaning = self._meaning(setting)
            except PydanticCustomError as error:
                problem = f"{setting.origin}  {setting.key}: {error.message()}"
                if source.is_given:
                    yield problem
                else:
                    self.notes.append(f"{problem}; left out")
                continue
            said |= {name: (value, setting.origin) for name, value in meaning.items()}
        for name, (value, origin) in _with_one_warmup(said).items():
            self._set(name, value, origin)

    def _meaning(self, setting: Setting) -> Meaning:
        try:
            meaning = meaning_of(setting.key, setting.value)
        except Unmapped as unmapped:
            self.notes.append(f"{setting.origin}  {setting.key}: {unmapped}; left out")
            return {}
        if meaning is None and setting.is_flag:
            raise wrong(unknown_key(setting.key))
        if meaning is None:
            self.ignored.append(setting.key)
        return meaning or {}

    def _set(self, name: str, value: object, origin: str) -> None:
        if name in self.values and self.values[name] != value:
            self.notes.append(
                f"{name}: {self.values[name]} ({self.origins[name]}) gives way to {value} "
                f"({origin})"
            )
        self.values[name], self.origins[name] = value, origin

    def combine(self) -> Iterator[str]:
        """Work out what follows from several settings together; yields what contradicts itself."""
        if "min_lr" in self.values:
            yield from self._combine_floor()
        if "decay_end_steps" in self.values:
            self._combine_decay_end()
        elif "after_warmup_steps" in self.values:
            self._combine_length()

    def _combine_floor(self) -> Iterator[str]:
        floor, peak = self._number("min_lr"), self._number("learning_rate")
        if peak is None or floor is None:
            self.notes.append(f"min_lr is {floor}, which says nothing without a learning_rate")
        elif floor > peak:
            yield (
                f"{self.origins['min_lr']}  min_lr: {floor} is above the learning rate "
                f"(allowed: up to {peak}, {self.origins['learning_rate']})"
            )
        else:
            self._set("floor_factor", floor / peak, self.origins["min_lr"])

    def _combine_decay_end(self) -> None:
        """The schedule's end is the length that rates are computed with."""
        self._set("total_steps", self.values["decay_end_steps"], self.origins["decay_end_steps"])

    def _combine_length(self) -> None:
        after, warmup = self._number("after_warmup_steps") or 0, self.values.get("warmup", 0)
        total = after + warmup if isinstance(warmup, int) else after / (1 - float(str(warmup)))
        self._set("total_steps", round(total), self.origins["after_warmup_steps"])

    def _number(self, name: str) -> float | None:
        return RunConfig(self.values).number(name)

    def config(self) -> RunConfig:
        values = {name: value for name, value in self.values.items() if name not in _PARTIAL}
        origins = {name: self.origins[name] for name in values}
        return RunConfig(values, origins, tuple(self.ignored), tuple(self.notes))


def _with_one_warmup(
    said: Mapping[str, tuple[object, str]],
) -> dict[str, tuple[object, str]]:
    """A source's warmup as one value: steps, or a share where no steps are set.

    Hugging Face writes both, and its steps win unless they are 0.
    """
    rest = dict(said)
    steps, share = rest.pop("warmup_steps", None), rest.pop("warmup_share", None)
    if share is not None and (steps is None or steps[0] == 0):
        rest["warmup"] = (share[0] or 0, share[1])
    elif steps is not None:
        rest["warmup"] = steps
    return rest


def _with_logged(config: RunConfig, log: Log) -> RunConfig:
    """Filled in from the log's columns; where they contradict the configuration, it is noted."""
    facts = logged_facts(log.curve, config)
    new = {name: value for name, value in facts.items() if not config.is_known(name)}
    return replace(
        config,
        values={**config.values, **new},
        origins={**config.origins, **dict.fromkeys(new, LOG_ORIGIN)},
        notes=(*config.notes, *_contradictions(config, facts)),
    )


def _contradictions(config: RunConfig, facts: Mapping[str, object]) -> Iterable[str]:
    for name in ("learning_rate", "schedule"):
        known, shown = config.get(name), facts.get(name)
        if known is None or shown is None or _agree(known, shown):
            continue
        yield (
            f"{name}: {known} ({config.origins.get(name, 'given')}), but the log's column of "
            f"learning rates shows {shown}"
        )


def _agree(one: object, other: object) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=_SAME_RATE)
    return one == other

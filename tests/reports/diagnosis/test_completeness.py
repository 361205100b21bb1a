"""Nothing that a diagnosis says is lost on its way into the report."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from sweeper.curves import Curve
from sweeper.reports.diagnosis.record import diagnosis_json
from sweeper.reports.diagnosis.report import markdown_report

from . import fakes

# Names for programs, and what a part of the report says in its own way.
NOT_IN_THE_TEXT = {"Advice.id", "Case.checkpoint_steps"}
NOT_IN_JSON = {"Case.checkpoint_steps"}


class Marker:
    """Replaces every text in a value by a word of its own, and remembers where it stood."""

    def __init__(self) -> None:
        self.places: dict[str, str] = {}
        self._numbers = itertools.count()

    def mark(self, value: Any, place: str) -> Any:
        if isinstance(value, str) and not isinstance(value, Enum):
            word = f"mark{next(self._numbers)}x"
            self.places[word] = place
            return word
        if dataclasses.is_dataclass(value) and not isinstance(value, Curve):
            return dataclasses.replace(value, **dict(self._fields(value)))  # type: ignore[type-var]
        if isinstance(value, tuple):
            return tuple(self.mark(item, place) for item in value)
        if isinstance(value, Mapping):
            pairs = value.items()
            return {self.mark(key, place): self.mark(item, place) for key, item in pairs}
        return value

    def _fields(self, value: Any) -> Iterator[tuple[str, Any]]:
        for field in dataclasses.fields(value):
            place = f"{type(value).__name__}.{field.name}"
            yield field.name, self.mark(getattr(value, field.name), place)


def lost(text: str, marker: Marker, allowed: set[str]) -> set[str]:
    return {place for word, place in marker.places.items() if word not in text} - allowed


def test_every_text_of_a_diagnosis_stands_in_the_report() -> None:
    marker = Marker()
    marked = marker.mark(fakes.full(), "Diagnosis")
    # The values of a configuration and their origins belong together by name.
    config = marked.case.config
    origins = dict(zip(config.values, config.origins.values(), strict=False))
    case = dataclasses.replace(marked.case, config=dataclasses.replace(config, origins=origins))
    marked = dataclasses.replace(marked, case=case)

    names = {"RunConfig.origins"}  # the old names, given up above
    assert lost(markdown_report(marked), marker, NOT_IN_THE_TEXT | names) == set()
    assert lost(diagnosis_json(marked), marker, NOT_IN_JSON | names) == set()

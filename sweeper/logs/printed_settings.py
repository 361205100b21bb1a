"""Hyperparameters that a log prints about its own run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from sweeper.logs.names import meaning_of

_ASSIGNMENT = re.compile(
    r"\s*(?:Overriding(?: config with)?:\s*)?([A-Za-z_]\w*)\s*=\s*(\S.*?)\s*,?\s*"
)
# GPT-NeoX adds dots and whether the value is its own (`default`, `updated`).
_DOTTED = re.compile(r"\s*([A-Za-z_]\w*) \.{3,} (\S.*?)\s*(?:\.{3,}\w+)?")
_COMMENT = re.compile(r"\s+#.*")
_SOURCE = re.compile(r"\s*(?:import \w|from \S+ import |def \w+\(|class \w+[:(])")
_NUM_EPOCHS, _TOTAL_STEPS = "Num Epochs", "Total optimization steps"
_TRAINER_HEADER = re.compile(
    rf"({_NUM_EPOCHS}|{_TOTAL_STEPS}|Total steps|Instantaneous batch size per device"
    r"|Batch size per device|Gradient Accumulation steps)\s*=\s*([\d,]{1,18})",
    re.IGNORECASE,
)
_KNOWN_AS = {  # Unsloth's words
    "total steps": _TOTAL_STEPS,
    "batch size per device": "Instantaneous batch size per device",
}
_LABELLED = re.compile(r"\s*([a-z][a-z0-9]*_[a-z0-9_]*|lr|seed|epochs|dtype|device):\s+(\S+)\s*")
_CALL = re.compile(r"\b(?:Namespace|\w{0,40}(?:Arguments|Config|Args))\((.*)\)\s*")
_ARGUMENT = re.compile(r"(\w+)=('[^']*'|\"[^\"]*\"|\[[^\]]*\]|[^,\s()]+)")
_LONGEST = 4000  # an arguments' dump has some hundreds of characters
_METRIC_ROLES = {"step", "train_loss", "val_loss", "grad_norm", "epoch", "seconds", "step_seconds"}


@dataclass
class SettingReader:
    """Collects settings from the lines before the first point.

    Attributes:
        settings: By the log's own names; mostly none.
    """

    settings: dict[str, object] = field(default_factory=dict)
    _in_source: bool = False

    def read(self, line: str) -> None:
        """Take what one line says."""
        # A log may begin with the program's own source, whose variables are no settings.
        self._in_source = self._in_source or _SOURCE.match(line) is not None
        if not ("=" in line or ".." in line or ":" in line) or len(line) > _LONGEST:
            return
        if found := _TRAINER_HEADER.findall(line):
            for name, number in found:
                known = _KNOWN_AS.get(name.lower(), name)
                self.settings[known] = int(number.replace(",", ""))
        elif "(" in line and (call := _CALL.search(line)):
            self.settings.update((n, _literal(text)) for n, text in _ARGUMENT.findall(call[1]))
        elif not self._in_source:
            self.settings.update(_single(line))

    def total_steps(self) -> int | None:
        """The optimizer steps that a trainer announced."""
        total = self.settings.get(_TOTAL_STEPS)
        return total if isinstance(total, int) else None

    def steps_per_epoch(self) -> float | None:
        """By the numbers of epochs and steps that a trainer announced."""
        epochs, total = self.settings.get(_NUM_EPOCHS), self.total_steps()
        return total / epochs if isinstance(epochs, int) and epochs > 0 and total else None


def _single(line: str) -> Iterator[tuple[str, object]]:
    line = _COMMENT.sub("", line, count=1)
    for form in (_ASSIGNMENT, _DOTTED, _LABELLED):
        match = form.fullmatch(line)
        if match is None or (form is not _DOTTED and _is_metric(match[1])):
            continue
        if form is _ASSIGNMENT and " " in match[2].strip("'\"[]") and "=" in match[2]:
            continue
        yield match[1], _literal(match[2])
        return


def _is_metric(name: str) -> bool:
    meaning = meaning_of(name)
    return meaning is not None and meaning.role in _METRIC_ROLES


def _literal(text: str) -> object:
    special = {"true": True, "false": False, "none": None, "null": None}
    if text.lower() in special:
        return special[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    if text[:1] in "'\"" and text[-1:] == text[:1]:
        return text[1:-1]
    if text.startswith("[") and text.endswith("]"):
        return [_literal(part.strip()) for part in text[1:-1].split(",") if part.strip()]
    return text

"""How numbers and names are written, once for the terminal, Markdown, HTML, CSV and figures.

Everything here returns plain text: escaping for a format is the business of that format.
"""

from __future__ import annotations

import math
import re
import shlex
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # its floor imports numpy, which who only checks a study file need not wait for
    from sweeper.curves import StopReason

ABSENT = "\u2013"  # an en dash: the cell has no number
TIMES = "\u00d7"

_ESCAPE_SEQUENCE = re.compile(
    r"(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # OSC: titles, links
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor moves
    r"|\x1b[ -/]*[0-~]"
)
_JOINERS = {"\u200c", "\u200d"}  # needed to write Persian and many emoji; change no direction


def clean(text: object, limit: int | None = None) -> str:
    """Text that cannot steer a terminal, break a line or turn the reading direction.

    Args:
        text: Anything; `str()` of it is used.
        limit: Longest result in characters; a longer one ends in an ellipsis.
    """
    kept = str(text)
    if not (kept.isascii() and kept.isprintable()):  # a table of 10,000 trials has 300,000 cells
        kept = "".join(map(_harmless, _ESCAPE_SEQUENCE.sub("", kept)))
    line = " ".join(kept.split())
    return line if limit is None or len(line) <= limit else line[: limit - 1].rstrip() + "…"


def clean_code(text: str) -> str:
    """Code that cannot steer a terminal or turn the reading direction; its lines stay."""
    plain = _ESCAPE_SEQUENCE.sub("", text)
    return "\n".join("".join(map(_harmless, line)) for line in plain.split("\n")).strip()


def _harmless(character: str) -> str:
    if character.isspace():
        return " "
    category = unicodedata.category(character)
    if category in ("Cc", "Cs") or (category == "Cf" and character not in _JOINERS):
        return ""
    return character


def number(value: float | None, form: str = ".3f") -> str:
    """A float in one format; absent and non-finite values in words."""
    if value is None:
        return ABSENT
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return format(value, form)


def nats(value: float | None) -> str:
    """A loss in nats, such as `3.862`."""
    return number(value)


def nats_change(value: float | None) -> str:
    """A difference of losses with its sign, such as `-1.532`; never a negative zero."""
    if value is not None and math.isfinite(value) and abs(value) < 0.0005:
        return "0.000"
    return number(value, "+.3f")


def perplexity_ratio(change: float | None) -> float | None:
    """The factor on perplexity that a change in loss of so many nats means."""
    if change is None:
        return None
    return math.inf if change > 700 else math.exp(change)


def ratio(value: float | None) -> str:
    """A factor to three significant digits, such as 0.22 after a multiplication sign."""
    if value is None:
        return ABSENT
    if not math.isfinite(value):
        return number(value)
    return TIMES + (f"{value:.2e}" if value >= 1000 else f"{value:.3g}")


def level(probability: float) -> str:
    """An interval's level, such as `97.5 %`."""
    return f"{100 * probability:.4g} %"


def count(value: float | None) -> str:
    """Tokens, or tokens per second, such as `400k` or `1.25M`."""
    if value is None or not math.isfinite(value):
        return number(value)
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def duration(seconds: float | None) -> str:
    """Seconds as `8.2 s`, `3 min 20 s`, `30 min` or `2 h 05 min`."""
    if seconds is None or not math.isfinite(seconds):
        return number(seconds)
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def share(part: float, whole: float) -> str:
    """A part of a whole in percent; absent where the whole is nothing."""
    return f"{part / whole:.0%}" if whole > 0 else ABSENT


def shell_word(text: str) -> str:
    """A file name as one word of a POSIX shell's command line."""
    return shlex.quote(clean(text))


def plural(amount: int, noun: str) -> str:
    """`1 trial`, `2 trials`."""
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {noun}s"


def stop_words(reason: StopReason) -> str:
    """A stop reason for reading: `out_of_memory` becomes `out of memory`."""
    text = reason.value.replace("_", " ")
    return "non-finite" if text == "non finite" else text


def value_words(value: object) -> str:
    """One hyperparameter's value: short floats, yes and no, lists without brackets."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value, ".3g").replace("e-0", "e-").replace("e+0", "e+")
    if isinstance(value, list | tuple | set | frozenset):
        return "+".join(value_words(item) for item in value) or "none"
    return "none" if value is None else clean(value) or "none"


_SHORT = {"learning_rate": "lr", "block_size": "block", "weight_decay": "decay"}
MAIN_HYPERPARAMETERS = (
    "learning_rate",
    "block_size",
    "batch_size",
    "accumulation",
    "schedule",
    "warmup",
    "rank",
)
_BATCH = ("batch_size", "accumulation")


def hyperparameter_words(values: Mapping[str, object]) -> str:
    """Hyperparameters in a phrase: learning rate, block, batch by accumulation, schedule."""
    phrases = [_phrase(name, values) for name in in_reading_order(values)]
    return ", ".join(phrase for phrase in phrases if phrase)


def in_reading_order(names: Mapping[str, object]) -> list[str]:
    """Names of hyperparameters, the ones that people look for first."""
    return [name for name in MAIN_HYPERPARAMETERS if name in names] + [
        n for n in names if n not in MAIN_HYPERPARAMETERS
    ]


def _phrase(name: str, values: Mapping[str, object]) -> str:
    if name in _BATCH and all(key in values for key in _BATCH):
        batch = TIMES.join(value_words(values[key]) for key in _BATCH)
        return f"batch {batch}" if name == "batch_size" else ""
    if name == "schedule":
        return value_words(values[name])
    if name == "warmup":
        return _warmup_words(values[name])
    return f"{_SHORT.get(name, clean(name).replace('_', ' '))} {value_words(values[name])}"


def _warmup_words(value: object) -> str:
    """A float is a share of the steps, a whole number is steps."""
    if isinstance(value, float):
        return f"warmup {value:.3g}" if value > 1 else f"warmup {100 * value:.3g}%"
    return "no warmup" if value in (0, None) else f"warmup {value_words(value)} steps"


def changed_hyperparameters(
    values: Mapping[str, object], reference: Mapping[str, object]
) -> dict[str, object]:
    """What differs from a reference; batch and accumulation together or not at all."""
    changed = {
        name for name, value in values.items() if name not in reference or reference[name] != value
    }
    if changed & set(_BATCH):
        changed |= set(_BATCH)
    return {name: value for name, value in values.items() if name in changed}

"""Numbers and names of a diagnosis in words; plain text, as everything in `words`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import PurePath

from sweeper.curves import Finding, FindingKind
from sweeper.diagnosis.diagnosis import Diagnosis
from sweeper.reports import words

_KINDS = {
    FindingKind.NON_FINITE: "non-finite loss",
    FindingKind.THROUGHPUT_DROP: "throughput drop",
    FindingKind.NEVER_LEARNED: "never learned",
    FindingKind.WEIGHTS_NOT_UPDATING: "weights do not update",
    FindingKind.EVAL_NOT_TRACKING: "evaluation does not track training",
}
_LONGEST_VALUE = 200


def source_words(diagnosis: Diagnosis) -> str:
    """The log's name, and the run's where the log holds several."""
    log = diagnosis.case.log
    name = words.clean(log.source, 120)
    return f"{name}, run {words.clean(log.run, 60)}" if log.run else name


def kind_words(kind: FindingKind) -> str:
    """A kind of finding for reading."""
    return _KINDS.get(kind, kind.value.replace("_", " "))


def steps_words(start: int, end: int) -> str:
    """`step 2000` or `steps 2000 to 2500`."""
    return f"step {start}" if start == end else f"steps {start} to {end}"


def size_words(finding: Finding) -> str:
    """A finding's severity with its unit; absent where a size makes no sense."""
    if finding.severity == 0 and finding.kind is FindingKind.PLATEAU:
        return "no gain"
    if not math.isfinite(finding.severity) or finding.severity == 0:
        return words.ABSENT
    if finding.kind is FindingKind.THROUGHPUT_DROP:
        return f"{words.ratio(finding.severity)} step time"
    if finding.kind is FindingKind.PLATEAU:
        return f"gains only {finding.severity:.2g} nats"
    return f"{finding.severity:.3g} nats"


def recovered_words(finding: Finding) -> str:
    """Whether the curve came back, in a word."""
    return {True: "yes", False: "no", None: words.ABSENT}[finding.recovered]


def finding_words(finding: Finding) -> str:
    """A finding in a phrase: `spike at step 2000, recovered`."""
    ending = {True: ", recovered", False: ", not recovered", None: ""}[finding.recovered]
    place = steps_words(finding.start_step, finding.end_step)
    return f"{kind_words(finding.kind)} at {place}{ending}"


def opening_sentences(text: str, limit: int) -> str:
    """As many whole sentences as fit; at least the first, cut if it alone is too long."""
    plain = words.clean(text)
    if len(plain) <= limit:
        return plain
    end = plain.rfind(". ", 0, limit)
    return plain[: end + 1] if end > 0 else words.clean(plain, limit)


def confidence_words(confidence: float) -> str:
    """A confidence from 0 to 1 in per cent."""
    return f"{confidence:.0%}"


def loss_words(value: float | None) -> str:
    """A loss in nats to four decimals, as training scripts print it."""
    return words.number(value, ".4f")


def rate_words(value: float | None) -> str:
    """A learning rate such as `1.5e-5`."""
    return words.ABSENT if value is None else words.value_words(float(value))


def change_words(change: Mapping[str, object]) -> str:
    """Hyperparameters to change, by the names that a study file uses."""
    pairs = (f"{words.clean(name)} = {setting_words(value)}" for name, value in change.items())
    return ", ".join(pairs)


def setting_words(value: object) -> str:
    """A setting from a log or a configuration, however long it is."""
    return words.clean(words.value_words(value), _LONGEST_VALUE)


def numbers_words(numbers: Mapping[str, float]) -> str:
    """Numbers by name, in the order in which they were given."""
    return ", ".join(
        f"{words.clean(name)} {words.number(float(value), '.6g')}"
        for name, value in numbers.items()
    )


def short_name(name: str) -> str:
    """A file's own name: where it lies says something about a machine, not about the run."""
    return words.clean(PurePath(name).name or name, 160)

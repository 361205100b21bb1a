"""The configuration at every event, the learning rate recomputed from its schedule."""

from __future__ import annotations

import math
from collections.abc import Iterator

from sweeper.curves import Curve
from sweeper.diagnosis import phrases
from sweeper.diagnosis.case import Case, Passage, RunConfig
from sweeper.diagnosis.diagnosis import EventSettings
from sweeper.diagnosis.rate import (
    logged_rate,
    schedule_of,
    scheduled_rate,
    steps_into_decay,
    warmup_end,
)

MOST_EVENTS = 12
MOST_PASSAGES = 5
_OTHER_FLOOR = 0.1
# A logged rate that is further than this from the schedule's is worth a sentence.
_RATE_TOLERANCE = 0.02
_BATCH = ("block_size", "batch_size", "accumulation")
_OTHERS = ("clip_norm", "rank", "weight_decay", "dropout", "precision")


def settings_at_events(case: Case) -> tuple[EventSettings, ...]:
    """The settings at the first step of every finding; the largest findings where many."""
    whats: dict[int, list[str]] = {}
    largest = sorted(case.findings, key=lambda finding: -abs(finding.severity))[:MOST_EVENTS]
    for finding in sorted(largest, key=lambda finding: finding.start_step):
        words = whats.setdefault(finding.start_step, [])
        if (word := phrases.KIND_WORDS[finding.kind]) not in words:
            words.append(word)
    return tuple(
        EventSettings(step, ", ".join(words), settings_at(case, step), tuple(_remarks(case, step)))
        for step, words in whats.items()
    )


def settings_at(case: Case, step: int) -> dict[str, str]:
    """The settings in words; what nobody said is left out or called unknown."""
    config = case.config
    values = {
        name.replace("_", " "): phrases.with_origin(config, name)
        for name in _BATCH
        if config.is_known(name)
    }
    values |= _sizes(config)
    values["learning rate"] = rate_words(case, step)
    if config.is_known("schedule"):
        values["schedule"] = schedule_words(config)
    values |= {
        name.replace("_", " "): phrases.with_origin(config, name)
        for name in _OTHERS
        if config.is_known(name)
    }
    return values


def _sizes(config: RunConfig) -> dict[str, str]:
    batch, per_step = config.number("batch_size"), config.tokens_per_step
    sizes: dict[str, str] = {}
    if batch is not None:
        if not config.is_known("accumulation"):
            sizes["accumulation"] = "1 (nobody mentioned it)"
        effective = int(batch * (config.number("accumulation") or 1))
        sizes["effective batch"] = phrases.plural(effective, "block")
    if per_step is not None:
        sizes["tokens per step"] = phrases.steps(per_step)
    return sizes


def rate_words(case: Case, step: int) -> str:
    """The learning rate at a step: logged, or scheduled, with the other floor where unknown."""
    logged = logged_rate(case.curve, step)
    if logged is not None:
        return f"{phrases.rate(logged)} (log)"
    scheduled = scheduled_rate(case.config, step)
    if scheduled is None:
        return f"unknown: {_missing(case.config)}"
    other = None
    if not case.config.is_known("floor_factor"):
        other = scheduled_rate(case.config, step, {"floor_factor": _OTHER_FLOOR})
    if other is None or math.isclose(other, scheduled, rel_tol=5e-3):
        return phrases.rate(scheduled)
    return (
        f"{phrases.rate(scheduled)} ({phrases.rate(other)} if the schedule ends at a "
        f"{100 * _OTHER_FLOOR:.0f} % floor)"
    )


def _missing(config: RunConfig) -> str:
    needed = [name for name in ("learning_rate", "schedule") if not config.is_known(name)]
    if not needed and config.number("total_steps") is None:
        needed = ["total_steps"]
    if not needed:
        return "the schedule as given does not fit together"
    verb = "is" if len(needed) == 1 else "are"
    return f"{phrases.joined(needed)} {verb} not known"


def schedule_words(config: RunConfig) -> str:
    """Shape, warmup and length of the schedule."""
    total, end = config.number("total_steps"), warmup_end(config)
    words = [phrases.with_origin(config, "schedule")]
    if config.is_known("learning_rate"):
        words.append(f"peak {phrases.rate(config.number('learning_rate'))}")
    if end is not None:
        words.append(f"warmup of {phrases.plural(end, 'step')}")
    if total is not None:
        words.append(f"{phrases.steps(total)} steps in all")
    return ", ".join(words)


def _remarks(case: Case, step: int) -> Iterator[str]:
    yield from _decay_remark(case.config, step)
    yield from _disagreement(case, step)
    seen = tokens_seen(case, step)
    if seen is not None:
        yield f"{phrases.steps(seen)} tokens seen"
    if case.corpus is not None:
        yield from _passages(case, case.corpus.events.get(step, ()))


def _decay_remark(config: RunConfig, step: int) -> Iterator[str]:
    """Where in the schedule, and how the rate comes about."""
    schedule, end = schedule_of(config), warmup_end(config)
    if schedule is None:
        return
    if end is not None and step < end:
        yield f"in the warmup: step {step:,} of {end:,}"
        return
    into = steps_into_decay(config, step)
    if into is None:
        return
    total = int(config.number("total_steps") or 0)
    length = max(total - (end or 0), 1)
    yield f"{phrases.plural(into, 'step')} into the decay, {_part(into / length)}"
    if schedule.schedule == "cosine" and into <= length and not schedule.floor_factor:
        peak, now = phrases.rate(schedule.learning_rate), scheduled_rate(config, step)
        yield (
            f"{phrases.rate(now)} = {peak} {phrases.TIMES} (1 + cos(pi {phrases.TIMES} {into:,} / "
            f"{length:,})) / 2"
        )
    if end is None and config.is_known("learning_rate"):
        yield "the warmup is not known and taken for none"


def _part(fraction: float) -> str:
    names = {1 / 4: "a quarter", 1 / 3: "a third", 1 / 2: "half", 2 / 3: "two thirds"}
    names |= {3 / 4: "three quarters"}
    for value, name in names.items():
        if abs(fraction - value) < 0.005:
            return f"{name} of it"
    return f"{100 * fraction:.0f} % of it" if fraction < 1 else "all of it"


def _disagreement(case: Case, step: int) -> Iterator[str]:
    """Some trainers log the rate that a step used, others the one that the next will use."""
    logged, scheduled = logged_rate(case.curve, step), scheduled_rate(case.config, step)
    used = scheduled_rate(case.config, max(step - 1, 0))
    if logged is None or scheduled is None or used is None:
        return
    if not any(math.isclose(logged, rate, rel_tol=_RATE_TOLERANCE) for rate in (scheduled, used)):
        yield (
            f"the log says {phrases.rate(logged)}, the schedule as given {phrases.rate(scheduled)}"
        )


def tokens_seen(case: Case, step: int) -> int | None:
    """Tokens before a step: as logged, else by the configuration."""
    logged = _logged_tokens(case.curve, step)
    if logged is not None:
        return logged
    per_step = case.config.tokens_per_step
    return None if per_step is None else per_step * step


def _logged_tokens(curve: Curve, step: int) -> int | None:
    for point in curve:
        if point.step == step:
            return point.tokens if point.tokens > 0 else None
    return None


def _passages(case: Case, passages: tuple[Passage, ...]) -> Iterator[str]:
    if not passages:
        return
    corpus = case.corpus
    basis = "" if corpus is not None and corpus.order_is_known else " if it was read in order"
    for passage in passages[:MOST_PASSAGES]:
        remarks = f": {', '.join(passage.remarks)}" if passage.remarks else ""
        yield f"read here{basis}: {passage.name}{remarks}"
    if len(passages) > MOST_PASSAGES:
        yield f"and {len(passages) - MOST_PASSAGES:,} more documents"

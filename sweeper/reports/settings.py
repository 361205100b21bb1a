"""The study's settings in words, for the end of a report."""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath, PureWindowsPath

from sweeper.reports import words
from sweeper.study import (
    BudgetSpec,
    Choice,
    CommandEngine,
    Dimension,
    EvaluateSpec,
    PruneSpec,
    StudySpec,
)


def setting_rows(spec: StudySpec) -> list[tuple[str, str]]:
    """Names and values of what decides a study's outcome, in the order of the study file."""
    rows = [
        *(_of_our_engine(spec) if spec.command is None else _of_a_command(spec, spec.command)),
        ("budget", _budget(spec.budget)),
        ("sampler", f"{spec.search.sampler}, {spec.search.startup_trials} random trials first"),
        ("stopped early by", _prune(spec.prune)),
        *((f"searched: {name}", _dimension(spec.space[name])) for name in spec.space),
    ]
    return [(words.clean(name), words.clean(value)) for name, value in rows]


def _of_our_engine(spec: StudySpec) -> list[tuple[str, str]]:
    model, data = spec.base_and_data
    share = f"{100 * data.validation:.3g}% of the documents for validation"
    if data.test is not None:
        share += f", {100 * data.test:.3g}% for the test of what the search finds"
    return [
        ("model", portable(model)),
        ("engine", str(spec.engine)),
        ("seed", str(spec.seed)),
        ("data", f"{portable(data.train)}, {share}"),
        ("loss on", data.loss_on),
        ("evaluation", _evaluation(spec.evaluate)),
    ]


def _of_a_command(spec: StudySpec, command: CommandEngine) -> list[tuple[str, str]]:
    """What the command decides by itself, such as its data, is not ours to say."""
    renamed = ", ".join(f"{name} as {variable}" for name, variable in command.env.items())
    return [
        ("command", shlex.join(map(portable, command.command))),
        ("variables renamed", renamed or "none"),
        ("losses read from", _metrics(command)),
        ("seed", str(spec.seed)),
        ("evaluation", "the command's own, as often as it prints a validation loss"),
    ]


def _metrics(command: CommandEngine) -> str:
    match command.metrics:
        case "regex":
            return f"lines of its output that match {command.pattern}"
        case "jsonl":
            return "lines of JSON in its output"
        case _:
            return "its output, in whatever known form"


def portable(path: str) -> str:
    """A path as a report may show it: of an absolute one only the last part."""
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(path).is_absolute():
            return kind(path).name
    return path


def _evaluation(evaluate: EvaluateSpec) -> str:
    tokens = "all" if evaluate.tokens is None else f"at most {words.count(evaluate.tokens)}"
    return (
        f"{evaluate.metric} on {tokens} {evaluate.split} tokens in blocks of "
        f"{evaluate.block_size}, "
        f"every {words.count(evaluate.every_tokens)} training tokens{_early(evaluate)}"
    )


def _early(evaluate: EvaluateSpec) -> str:
    early = evaluate.rungs.early
    marks = ", ".join(map(words.count, early))
    return f", and before that at {marks}" if early else ""


def _budget(budget: BudgetSpec) -> str:
    parts = [
        words.plural(budget.trials, "trial"),
        f"{words.count(budget.tokens_per_trial)} tokens each",
    ]
    if budget.tokens is not None:
        parts.append(f"{words.count(budget.tokens)} tokens in all")
    if budget.wall_clock_s is not None:
        parts.append(f"{words.duration(budget.wall_clock_s)} of wall-clock time")
    if budget.price is not None:
        parts.append(f"at {budget.price}")
    return ", ".join(parts)


def _prune(prune: PruneSpec) -> str:
    rules = []
    if prune.spike is not None:
        rules.append(
            f"spike (above {prune.spike.threshold:g} deviations for {prune.spike.patience:.0%} "
            "of the tokens)"
        )
    if prune.plateau is not None:
        rules.append(
            f"plateau (under {prune.plateau.margin:g} nats of progress in "
            f"{prune.plateau.window:.0%} of the tokens)"
        )
    if prune.peers != "off":
        rules.append(f"peers ({prune.peers})")
    if prune.audit is not None:
        rules.append(f"but for {100 * prune.audit:g}% of these trials, which are audited")
    return ", ".join(rules) or "nothing but non-finite losses"


def _dimension(dimension: Dimension) -> str:
    if isinstance(dimension, Choice):
        return ", ".join(words.value_words(value) for value in dimension.values)
    low, high = (words.value_words(bound) for bound in (dimension.low, dimension.high))
    step = "" if dimension.step is None else f", step {words.value_words(dimension.step)}"
    return f"{low} to {high}{', logarithmic' if dimension.log else ''}{step}"

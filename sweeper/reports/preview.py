"""`run --dry-run`: what a study would do, and what it would cost."""

from __future__ import annotations

import os
import shlex

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sweeper.reports import words
from sweeper.search.forecast import Forecast
from sweeper.search.measured import Measured
from sweeper.study import Choice, Dimension, Hyperparameters, StudySpec
from sweeper.training.command import variables_of
from sweeper.training.course import Course

MOST_EVALUATION_SHARE = 0.05


def preview(spec: StudySpec, forecast: Forecast) -> RenderableType:
    """The study's space, its first trials, and the forecast of tokens and time."""
    return Group(
        Text.assemble("Study ", (words.clean(spec.name, 80), "bold"), " (nothing was written)"),
        _space(spec),
        _trials(spec, forecast),
        *map(Text, _costs(spec, forecast)),
    )


def _space(spec: StudySpec) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in ("hyperparameter", "values", "baseline"):
        table.add_column(heading, overflow="fold")
    baseline = spec.baseline_hyperparameters.model_dump()
    for name, dimension in spec.space.items():
        table.add_row(name, _values(dimension), words.value_words(baseline[name]))
    return table


def _values(dimension: Dimension) -> str:
    if isinstance(dimension, Choice):
        return ", ".join(words.value_words(value) for value in dimension.values)
    form = ", logarithmic" if dimension.log else ""
    step = f", step {words.value_words(dimension.step)}" if dimension.step else ""
    low, high = words.value_words(dimension.low), words.value_words(dimension.high)
    return f"{low} to {high}{form}{step}"


def _trials(spec: StudySpec, forecast: Forecast) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("#", justify="right")
    table.add_column("what", overflow="fold")
    table.add_column("recipe", overflow="fold")
    rows: list[tuple[str, Hyperparameters]] = [*forecast.fixed]
    rows += [(f"{spec.search.sampler} draw", recipe) for recipe in forecast.sampled]
    for number, (what, recipe) in enumerate(rows):
        table.add_row(
            Text(str(number)),
            Text(words.clean(what, 40)),
            Text(words.hyperparameter_words(_searched(spec, recipe))),
        )
    left = forecast.num_trials - len(rows)
    if left > 0:
        table.add_row("", f"{left} more", "as the sampler learns")
    return table


def _searched(spec: StudySpec, recipe: Hyperparameters) -> dict[str, object]:
    """What the space names, and what else differs from the baseline."""
    values = recipe.model_dump()
    baseline = spec.baseline_hyperparameters.model_dump()
    return {k: v for k, v in values.items() if k in spec.space or v != baseline[k]}


def _costs(spec: StudySpec, forecast: Forecast) -> list[str]:
    most = f"At most {words.count(forecast.tokens)} tokens in {forecast.num_trials} trials"
    crew = _crew(forecast)
    if forecast.measured is not None:
        time = f"{most}, about {words.duration(forecast.measured.seconds)} if none is pruned"
        lines = [*_ground(spec, forecast.measured), crew, time, *_remarks(forecast.measured)]
    else:
        lines = [*_command(spec, forecast), crew, f"{most}; their time was not measured"]
    if spec.budget.wall_clock_s is not None:
        lines.append(f"Stops at the latest after {words.duration(spec.budget.wall_clock_s)}")
    lines.append(f"Results would be written to {os.path.relpath(spec.output_folder)}")
    return lines


def _crew(forecast: Forecast) -> str:
    crew = forecast.crew
    text = f"Workers: {crew.count}, threads each: {crew.threads}"
    if crew.slots > 1:
        text += f", trials at a time each: {crew.slots}"
    return f"{text}; measured when it begins" if forecast.will_measure else text


def _ground(spec: StudySpec, measured: Measured) -> list[str]:
    speeds = ", ".join(
        f"block {size}: {words.count(speed)}"
        for size, speed in sorted(measured.tokens_per_s.items())
    )
    epochs = spec.budget.tokens_per_trial / measured.epoch_tokens
    return [
        f"Corpus: {measured.num_documents:,} documents, {words.count(measured.epoch_tokens)} "
        f"training tokens; a trial sees {epochs:.2f} of them",
        f"Evaluation: {measured.evaluation_tokens:,} predictions every "
        f"{words.count(spec.evaluate.every_tokens)} tokens, {measured.evaluation_share:.1%} of a "
        "trial's time",
        f"Measured tokens/s of one worker, {speeds}",
    ]


def _remarks(measured: Measured) -> list[str]:
    lines = []
    if measured.has_to_pretrain:
        lines.append("Of that, about 100 s to pretrain builtin:tiny, once on this machine")
    if measured.evaluation_share > MOST_EVALUATION_SHARE:
        lines.append("Evaluation is dear: raise evaluate.every_tokens or lower evaluate.tokens")
    return lines


def _command(spec: StudySpec, forecast: Forecast) -> list[str]:
    """What would be run for the baseline, as a person would type it in a shell."""
    engine, baseline = spec.command, spec.baseline_hyperparameters
    assert engine is not None, "the others are measured"
    course = Course.of(baseline, spec.budget.tokens_per_trial, spec.evaluate.rungs)
    told = variables_of(engine, baseline, course)
    given = " ".join(f"{name}={shlex.quote(text)}" for name, text in told.items())
    return [
        f"Each trial runs, in {os.path.relpath(spec.folder)}, with variables of its own. The "
        "baseline:",
        words.clean(f"{given} {engine.line}", 2000),
    ]

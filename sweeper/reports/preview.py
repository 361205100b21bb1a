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
from sweeper.search.verifying.prospects import Prospect
from sweeper.study import Choice, Dimension, Hyperparameters, StudySpec
from sweeper.training.command_plan import variables_of
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
    lines += _after(spec, forecast)
    if spec.budget.wall_clock_s is not None:
        lines.append(f"Stops at the latest after {words.duration(spec.budget.wall_clock_s)}")
    lines.append(f"Results would be written to {os.path.relpath(spec.output_folder)}")
    return lines


def _after(spec: StudySpec, forecast: Forecast) -> list[str]:
    """What follows the search, and all of it together."""
    if forecast.looks is None:
        return []
    lines = [
        f"Then other seeds: {_prospect(spec, forecast, forecast.looks)}; a look that decides saves "
        "the next"
    ]
    if any(h.expectation is not None and h.expectation[0] == "speed" for h in spec.hypotheses):
        lines.append("Before these, speeds are measured in turns, which trains nothing")
    num_trials = forecast.looks.most
    if forecast.ablation is not None:
        lines.append(f"Then the ablation: {_prospect(spec, forecast, forecast.ablation)}")
        num_trials += forecast.ablation.most
    return [*lines, _whole(spec, forecast, num_trials)]


def _prospect(spec: StudySpec, forecast: Forecast, prospect: Prospect) -> str:
    """Such as `15 to 48 trials, 600k to 1.92M tokens, 2 min to 6 min 20 s`."""
    if not prospect.most:
        return "nothing"
    most = _amounts(spec, forecast, prospect.most)
    if not prospect.least:
        return f"at most {', '.join(most)}"
    if prospect.least == prospect.most:
        return ", ".join(most)
    least = _amounts(spec, forecast, prospect.least)
    least = [text.removesuffix(" trials").removesuffix(" tokens") for text in least]
    return ", ".join(f"{a} to {b}" for a, b in zip(least, most, strict=True))


def _amounts(spec: StudySpec, forecast: Forecast, num_trials: int) -> list[str]:
    tokens = words.count(num_trials * spec.budget.tokens_per_trial)
    amounts = [words.plural(num_trials, "trial"), f"{tokens} tokens"]
    if forecast.measured is not None:
        amounts.append(words.duration(num_trials * forecast.measured.trial_s))
    return amounts


def _whole(spec: StudySpec, forecast: Forecast, num_trials: int) -> str:
    """Search, other seeds and ablation; the study's tokens hold for all of it."""
    tokens = forecast.tokens + num_trials * spec.budget.tokens_per_trial
    most = spec.budget.tokens
    if most is not None and tokens > most:
        return (
            f"In all at most {words.count(most)} tokens, by budget.tokens; other seeds that would "
            "take more are left out"
        )
    text = f"In all at most {words.count(tokens)} tokens"
    if forecast.measured is None:
        return text
    whole_s = forecast.measured.seconds + num_trials * forecast.measured.trial_s
    return f"{text}, about {words.duration(whole_s)}"


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

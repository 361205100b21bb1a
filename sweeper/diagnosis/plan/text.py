"""A planned study as the text of its file, as a person would have written it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from sweeper.curves import FindingKind
from sweeper.diagnosis.case import Case
from sweeper.diagnosis.diagnosis import Diagnosis
from sweeper.diagnosis.plan.baseline import PlannedBaseline, plan_baseline
from sweeper.diagnosis.plan.budget import PlannedBudget, plan_budget
from sweeper.diagnosis.plan.ground import Ground, choose_ground, is_untrained
from sweeper.diagnosis.plan.hypotheses import PlannedHypotheses, plan_hypotheses
from sweeper.diagnosis.plan.space import plan_space
from sweeper.diagnosis.spelling import (
    comment,
    mapping_text,
    printable,
    text_in_yaml,
    tokens_text,
    value_text,
)
from sweeper.study import BaselineSpec
from sweeper.study.engine import DEFAULT_VARIABLES

_COLUMN = 38  # where the remarks beside values begin
_LONGEST_NAME = 200
_EVALUATED_BLOCK = 128
# Always named, beside all that the space searches.
_TOLD = ("total_steps", "block_size", "batch_size", "accumulation", "learning_rate", "schedule")
# A token costs nearly half as much to evaluate as to train: of a tenth of them, evaluations take
# under 5 % of the time. Fewer than the least would say too little.
_EVALUATED_SHARE = 0.1
_LEAST_EVALUATED, _MOST_EVALUATED = 4_000, 100_000


@dataclass(frozen=True)
class _Plan:
    """All parts of one study."""

    diagnosis: Diagnosis
    name: str
    log_path: str
    ground: Ground
    baseline: PlannedBaseline
    hypotheses: PlannedHypotheses
    budget: PlannedBudget
    space: Mapping[str, str]


def study_text(
    diagnosis: Diagnosis,
    *,
    name: str,
    log_path: str,
    model: str | None,
    data: str | None,
    command: str | None,
) -> str:
    """The study that tests a diagnosis's advice.

    Args:
        diagnosis: The run becomes the baseline, its advice the hypotheses.
        name: The study's name.
        log_path: The log, as a path from the study file's folder; empty where it has no file.
        model: The base, as a study file names it; None: one of ours stands in.
        data: The corpus, as a path from the study file's folder; None: ours stands in.
        command: How the user starts a run, seen from the study file's folder; it then trains
            every trial, with a base and a corpus of its own.

    Returns:
        YAML that `load_study` accepts wherever the named files exist.
    """
    ground = choose_ground(diagnosis.causes, model, data, command)
    baseline = plan_baseline(diagnosis.case, ground)
    hypotheses = plan_hypotheses(diagnosis.recommendations, diagnosis.causes, baseline, ground)
    budget = plan_budget(diagnosis.case, baseline, hypotheses.testable, ground)
    plan = _Plan(
        diagnosis=diagnosis,
        name=printable(name)[:_LONGEST_NAME].strip() or "diagnosis",
        log_path=log_path,
        ground=ground,
        baseline=baseline,
        hypotheses=hypotheses,
        budget=budget,
        space=plan_space(baseline, hypotheses.testable, ground, budget.tokens_per_trial),
    )
    sections = (
        _head(plan),
        [f"name: {text_in_yaml(plan.name)}", f"seed: {baseline.seed}"],
        _ground(plan),
        _evaluate(plan),
        _budget(plan),
        _baseline(plan),
        _space(plan),
        ["search: {sampler: tpe, startup_trials: 6}"],
        ["prune: {spike: default, plateau: default, peers: off}"],
        _hypotheses(plan),
        _workers(plan),
    )
    return "\n\n".join("\n".join(lines) for lines in map(list, sections) if lines) + "\n"


def _head(plan: _Plan) -> Iterator[str]:
    source = printable(plan.diagnosis.case.log.source) or "a log"
    yield from comment(f"{_question(plan.diagnosis.case)} ({source})")
    yield "#"
    for sentence in plan.diagnosis.summary:
        yield from comment(sentence)
    yield "#"
    yield from comment(
        "Written by `sweeper diagnose --emit-study`; change what you like. Then: sweeper run THIS "
        "FILE, and sweeper report THIS FILE."
    )
    if plan.hypotheses.by_hand:
        yield "#"
        yield "# What no study can test, to be done by hand:"
        for title in plan.hypotheses.by_hand:
            yield from comment(f"- {title}")


def _question(case: Case) -> str:
    kinds = {finding.kind for finding in case.findings}
    if kinds & {FindingKind.PLATEAU, FindingKind.NEVER_LEARNED, FindingKind.WEIGHTS_NOT_UPDATING}:
        return "Which change gets the loss moving again?"
    if kinds & {FindingKind.SPIKE, FindingKind.DIVERGENCE, FindingKind.NON_FINITE}:
        return "Which change keeps the loss from breaking?"
    return "Which change makes the run better?"


def _ground(plan: _Plan) -> Iterator[str]:
    ground = plan.ground
    if ground.is_command:
        yield "# Your own script trains every trial: one process each, told by these variables."
        yield "# Rename those that it calls otherwise. It runs in this file's folder."
        yield "engine:"
        yield f"  command: {ground.command}"
        yield "  env:"
        told = [*_TOLD, *(name for name in plan.space if name not in _TOLD)]
        yield from (f"    {name}: {DEFAULT_VARIABLES[name]}" for name in told)
        yield "  metrics: auto"
        return
    if ground.model_stands_in or ground.data_stands_in:
        yield from _stand_in_remark(plan)
    yield f"model: {text_in_yaml(ground.model)}"
    yield "data:"
    yield f"  train: {text_in_yaml(ground.data)}"
    yield "  validation: 5%"


def _stand_in_remark(plan: _Plan) -> Iterator[str]:
    ground = plan.ground
    parts = [
        ("base", "model: gpt2", ground.model_stands_in),
        ("corpus", "train: my-data/training.md", ground.data_stands_in),
    ]
    missing = [(what, line) for what, line, stands_in in parts if stands_in]
    what = " and ".join(what for what, _ in missing)
    lines = " and ".join(f"`{line}`" for _, line in missing)
    verb = "stands" if len(missing) == 1 else "stand"
    yield from comment(
        f"Our {what} {verb} in for the run's, which nobody named: the losses are not those of the "
        f"log, the direction of a change may be. For your own, write such as {lines}."
    )
    if ground.model_stands_in and is_untrained(plan.diagnosis.causes):
        yield from comment(
            "The base is untrained, as the run's seems to be. `model: builtin:tiny` is the same "
            "one pretrained: no hyperparameter makes as much difference."
        )


def _evaluate(plan: _Plan) -> Iterator[str]:
    every = f"every_tokens: {tokens_text(plan.budget.every_tokens)}"
    if plan.ground.is_command:
        yield f"evaluate: {{{every}}}"
        return
    block = min(
        _EVALUATED_BLOCK
        if plan.ground.model_stands_in
        else max(plan.baseline.hyperparameters.block_size, 2),
        plan.ground.longest_block or plan.budget.tokens_per_trial,
        plan.budget.tokens_per_trial,
    )
    share = int(float(f"{plan.budget.every_tokens * _EVALUATED_SHARE:.1e}"))
    tokens = max(min(max(share, _LEAST_EVALUATED), _MOST_EVALUATED), block)
    yield "# One yardstick for all trials, whatever block size they train with."
    yield f"evaluate: {{block_size: {block}, {every}, tokens: {tokens_text(tokens)}}}"


def _budget(plan: _Plan) -> Iterator[str]:
    budget = plan.budget
    num_named = 1 + len(plan.hypotheses.testable)
    named = "trial is the baseline"
    if num_named > 1:
        named = f"{num_named} trials are the baseline and the hypotheses"
    yield from comment(
        f"Tokens of a trial: {budget.basis}. The first {named}; the search gets the others."
    )
    if budget.seconds_per_trial is not None:
        yield from comment(
            f"At the speed of the log a trial takes {_duration(budget.seconds_per_trial)}. Fewer "
            "tokens show only how a run begins, but sooner."
        )
    yield (
        f"budget: {{trials: {budget.trials}, "
        f"tokens_per_trial: {tokens_text(budget.tokens_per_trial)}}}"
    )


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _baseline(plan: _Plan) -> Iterator[str]:
    known = "as far as it is known" if plan.baseline.has_defaults else "as it was"
    yield f"# The run {known}. It is trained again, so that all trials compare."
    for sentence in plan.baseline.left_out:
        yield from comment(sentence)
    yield "baseline:"
    yield "  hyperparameters:"
    for name, text in plan.baseline.texts.items():
        line, remark = f"    {name}: {text}", plan.baseline.remarks.get(name)
        yield f"{line:<{_COLUMN}}# {remark}" if remark else line
    if _can_be_recorded(plan.log_path):
        yield f"  recorded: {text_in_yaml(plan.log_path)}"
    else:
        yield "  # recorded: the log, once it lies in a file beside this one"


def _can_be_recorded(path: str) -> bool:
    try:
        BaselineSpec.model_validate({"recorded": path})
    except ValidationError:
        return False
    return True


def _space(plan: _Plan) -> Iterator[str]:
    yield "# A list is a choice, {low, high} a range. The rest keeps the baseline's values."
    if plan.ground.is_command:
        yield "# Strike out what your script does not read."
    yield "space:"
    for name, form in plan.space.items():
        yield f"  {name}: {form}"


def _hypotheses(plan: _Plan) -> Iterator[str]:
    for sentence in plan.hypotheses.left_out:
        yield from comment(sentence)
    if not plan.hypotheses.testable:
        yield "# No advice is a change of a hyperparameter; add your own guesses here."
        yield "hypotheses: []"
        return
    yield "hypotheses:"
    for hypothesis in plan.hypotheses.testable:
        yield from comment(f"{hypothesis.reason} Refuted if: {hypothesis.refuted_by}", indent=2)
        yield f"  - name: {text_in_yaml(hypothesis.name)}"
        change = {name: value_text(value) for name, value in hypothesis.change.items()}
        yield f"    change: {mapping_text(change)}"
        if hypothesis.expect:
            yield f"    expect: {hypothesis.expect}"


def _workers(plan: _Plan) -> Iterator[str]:
    count = "1" if plan.ground.is_command or not plan.ground.model_stands_in else "auto"
    remark = "  # one device trains one trial at a time" if count == "1" else ""
    yield f"workers: {{count: {count}, backend: loky}}{remark}"

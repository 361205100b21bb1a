"""The report's sections on what is measured beside the arms of each size."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from tests.benchmarks import tables
from tests.benchmarks.scale import STEPS
from tests.benchmarks.verdicts import (
    Content,
    evaluation_flops,
    total_flops,
    uses_bf16,
    utilisation,
)


def sections_of_parts(parts: Mapping[str, Content]) -> Iterator[str]:
    """The sections of the parts that are there."""
    for name, section in (
        ("alone", _alone),
        ("peak", _peak),
        ("memory", _memory),
        ("orchestration", _orchestration),
        ("beside", _beside),
        ("scale", _scale),
        ("pruning", _pruning),
    ):
        if name in parts:
            yield from section(parts)


def _alone(parts: Mapping[str, Content]) -> Iterator[str]:
    yield "## One trial alone"
    yield (
        "A study of one trial against `lean.py`, a hand-written loop for this one model without "
        "checkpoints, curves or evaluation: fp32, all cores, the nominal step, median of the "
        "steps after the third."
    )
    head = ("size", "lean ms/step", "ours ms/step", "last training losses")
    rows = []
    for size in ("T", "M"):
        runs = parts["alone"][size]["runs"]
        lean, ours = (
            statistics.median(run["step_s"] for run in runs[arm]) for arm in ("lean", "alone")
        )
        losses = " / ".join(f"{runs[arm][0]['last_train_loss']:.5f}" for arm in ("lean", "alone"))
        rows.append((size, f"{lean * 1000:.2f}", f"{ours * 1000:.2f}", losses))
    yield tables.table(head, rows)


def _peak(parts: Mapping[str, Content]) -> Iterator[str]:
    yield "## The machine's own peak"
    peak = {key: rate for key, rate in parts["peak"].items() if "/" in key}
    rows = [(*key.split("/"), f"{rate / 1e9:,.1f}") for key, rate in peak.items()]
    yield tables.table(("GEMM", "threads", "GFLOP/s"), rows)
    if "M" in parts:
        dtype = "bf16" if uses_bf16(parts["M"], "ours") else "fp32"
        share = utilisation(parts, "M", dtype)
        both = share * (1 + evaluation_flops(parts["M"]) / total_flops(parts["M"]))
        yield (
            f"Ours on M, the whole list: {share:.1%} of the {dtype} peak (4 N + 12 L d S + "
            "6 N_lora operations per token; evaluation and everything else inside of the wall "
            f"clock count as time, not as work). With the evaluations' 2 N + 4 L d S + 2 N_lora "
            f"operations per token counted as work: {both:.1%}."
        )


def _memory(parts: Mapping[str, Content]) -> Iterator[str]:
    runs = parts["memory"]["runs"]
    yield "## Memory"
    yield (
        "Peak memory of the workers of a study on M (shared pages counted once), and what each "
        "trial that runs at the same time adds to one trial alone."
    )
    single = next(run["peak_mib"] for run in runs if run["num_trials"] == 1)
    rows = [
        (
            str(run["num_trials"]),
            str(run["workers"]),
            str(run["at_once"]),
            f"{run['peak_mib']:,.0f}",
            "-"
            if run["at_once"] <= 1
            else f"{(run['peak_mib'] - single) / (run['at_once'] - 1):,.1f}",
        )
        for run in runs
    ]
    yield tables.table(("trials", "workers", "at once", "peak MiB", "MiB per added trial"), rows)


def _orchestration(parts: Mapping[str, Content]) -> Iterator[str]:
    runs = parts["orchestration"]["runs"]
    yield "## A trial's cost beside its training"
    yield (
        "Milliseconds of the calls that a worker makes over one trial (seven reports, two "
        "renewals) with so many trials in a SQLite study; nothing is trained. Medians. "
        "*Optuna alone*: ask, suggest, seven reports and tell on the same database and sampler."
    )
    calls = list(runs[0]["calls_ms"])
    rows = [
        (
            f"{run['num_trials']:,}, {run['sampler']}",
            *(f"{run['calls_ms'][call]:.1f}" for call in calls),
            f"{run['total_ms']:.1f}",
            f"{run['optuna_ms']:.1f}",
        )
        for run in runs
    ]
    yield tables.table(("trials, sampler", *calls, "all", "Optuna alone"), rows)


def _beside(parts: Mapping[str, Content]) -> Iterator[str]:
    runs = parts["beside"]["runs"]
    yield "## A trial's time beside its steps"
    yield (
        f"The default study's first {runs[0]['num_trials']} trials of "
        f"{runs[0]['tokens_per_trial']:,} tokens in one warm process, one thread. *Set-up*: from "
        "the moment when a trial is known until its first request, median and most, and that of "
        "the first, which loads the base. *Evaluation*: of all that passes until the last is done."
    )
    head = ("trials at a time", "set-up ms", "most ms", "the first's ms", "evaluation")
    rows = [
        (
            str(run["slots"]),
            f"{run['setup_ms']:.1f}",
            f"{run['slowest_setup_ms']:.1f}",
            f"{run['first_setup_ms']:.0f}",
            f"{run['evaluation_s'] / run['whole_s']:.1%}",
        )
        for run in runs
    ]
    yield tables.table(head, rows)


def _scale(parts: Mapping[str, Content]) -> Iterator[str]:
    part = parts["scale"]
    yield f"## A study of {part['num_trials']:,} finished trials"
    yield (
        "SQLite, made by the store's own calls, with curves of 30 points and manifests. The whole "
        "of a fresh process for each step, from its command to its exit; none of them imports "
        "torch. *May take* is asked for on 10,000 trials."
    )
    head = (
        "step",
        "wall s",
        "CPU s",
        "beyond imports",
        "may take",
        "peak MiB",
        "may take",
    )
    rows = []
    for name, found in part["steps"].items():
        step, beyond = STEPS[name], found["beyond_imports"]
        rows.append(
            (
                step.about,
                f"{found['wall_s']:.2f}",
                f"{found['cpu_s']:.2f}",
                "-" if beyond is None else f"{beyond['cpu_s']:.2f}",
                f"{step.floor_s:.0f}",
                f"{found['peak_mib']:,.0f}",
                "-" if step.floor_mib is None else f"{step.floor_mib:,.0f}",
            )
        )
    yield tables.table(head, rows)


def _pruning(parts: Mapping[str, Content]) -> Iterator[str]:
    run, tokens = parts["pruning"]["run"], parts["pruning"]["tokens_per_trial"]
    trials = run["trials"]
    shares = [min(trial["tokens"] / tokens, 1.0) for trial in trials]
    ended = sorted(t["stop_reason"] for t in trials if t["stop_reason"] != "completed")
    yield "## What pruning saves"
    yield (
        f"The default study's list once with its rules, and six evaluations a trial: {len(ended)} "
        f"of {len(trials)} trials ended early ({', '.join(ended) or 'none'}), "
        f"{1 - sum(shares) / len(shares):.1%} of the tokens saved, {run['wall_s']:.1f} s."
    )
    if "default" in parts:
        whole = {arm: parts["default"]["runs"][arm] for arm in ("B0", "ours")}
        seconds = {arm: statistics.median(r["wall_s"] for r in runs) for arm, runs in whole.items()}
        saved = statistics.median(map(partial(_saved_s, shares), whole["B0"]))
        pruned = seconds["B0"] - saved
        yield (
            f"Given to both sides: ours {seconds['ours']:.1f} s whole, {run['wall_s']:.1f} s "
            f"pruned (measured); B0 {seconds['B0']:.1f} s whole, {pruned:.1f} s if it stopped the "
            "same trials at the same tokens for nothing (computed from its trials' own seconds): "
            f"{pruned / run['wall_s']:.2f}x."
        )


def _saved_s(shares: Sequence[float], run: Content) -> float:
    """Training seconds that a sequential arm would not have spent."""
    return sum(t["training_s"] * (1 - s) for t, s in zip(run["trials"], shares, strict=True))

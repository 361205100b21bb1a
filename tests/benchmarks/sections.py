"""The report's sections on what is measured beside the arms of each size."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping

from tests.benchmarks import tables
from tests.benchmarks.verdicts import Content, utilisation


def sections_of_parts(parts: Mapping[str, Content]) -> Iterator[str]:
    """The sections of the parts that are there."""
    for name, section in (
        ("alone", _alone),
        ("peak", _peak),
        ("memory", _memory),
        ("orchestration", _orchestration),
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
        share = utilisation(parts, "M", "fp32")
        yield (
            f"Ours on M, the whole list: {share:.1%} of the fp32 peak (4 N + 12 L d S + 6 N_lora "
            "operations per token; evaluation and everything else inside of the wall clock count "
            "as time, not as work)."
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
        "renewals) with so many trials in a SQLite study; nothing is trained. Medians."
    )
    calls = list(runs[0]["calls_ms"])
    rows = [
        (
            f"{run['num_trials']:,}, {run['sampler']}",
            *(f"{run['calls_ms'][call]:.1f}" for call in calls),
            f"{run['total_ms']:.1f}",
        )
        for run in runs
    ]
    yield tables.table(("trials, sampler", *calls, "all"), rows)


def _pruning(parts: Mapping[str, Content]) -> Iterator[str]:
    whole, pruned = (
        parts["pruning"]["runs"][name] for name in ("all trials whole", "default rules")
    )
    trained, tokens = (sum(trial["tokens"] for trial in run["trials"]) for run in (pruned, whole))
    ended = [t["stop_reason"] for t in pruned["trials"] if t["stop_reason"] != "completed"]
    yield "## What pruning saves"
    yield (
        f"The default study's list once with the default rules: {len(ended)} of "
        f"{len(pruned['trials'])} trials ended early ({', '.join(sorted(ended)) or 'none'}), "
        f"{1 - trained / tokens:.1%} of the tokens saved. Ours: {whole['wall_s']:.1f} s whole, "
        f"{pruned['wall_s']:.1f} s pruned."
    )
    if "default" in parts:
        runs = parts["default"]["runs"]["B0"]
        shares = [
            a["tokens"] / b["tokens"]
            for a, b in zip(pruned["trials"], whole["trials"], strict=True)
        ]
        before = statistics.median(run["wall_s"] for run in runs)
        saved = statistics.median(
            sum(t["training_s"] * (1 - s) for t, s in zip(run["trials"], shares, strict=True))
            for run in runs
        )
        yield (
            f"Given to both sides: B0 would take {before - saved:.1f} s instead of {before:.1f} s "
            "if it stopped the same trials at the same tokens at no cost (computed from its "
            f"trials' own seconds), {(before - saved) / pruned['wall_s']:.2f} times ours, pruned."
        )

"""Writes the report of all measurements that lie in a folder: README.md, trials.md, a figure."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path

from sweeper.reports import canvas
from tests.benchmarks import tables
from tests.benchmarks.figure import figure_arms
from tests.benchmarks.plan import PARTS
from tests.benchmarks.sizes import SIZES
from tests.benchmarks.verdicts import (
    Content,
    equality,
    seconds_of,
    total_flops,
    utilisation,
    verdicts,
)

_CLOCKS = """\
**Arms.** B0: Optuna (SQLite, one trial after another), Hugging Face's Trainer and peft in one
process, as they come, with torch's own number of threads. The base is loaded once, not once a
trial; nothing is saved, logged or evaluated but the final loss. B1: the same, tuned: torch's fused
GELU, and the faster of fp32 and bf16 autocast, of one thread and all. Ours: `run_study` on a study
file with `search: {sampler: list}`, all else at its defaults, pruning off; it also evaluates the
base, writes curves, checkpoints, adapters and manifests, and can be resumed. All arms train the
same list on the same tokens in the same order from the same initial adapters, without dropout, with
AdamW (0.9, 0.999, 1e-8), clipping at 1, and are judged on the same validation blocks.

**Clocks.** *Wall*: from the first trial's set-up (corpus read and tokenized, base loaded) to the
last trial's result. Imports and the making of the base are outside on both sides; for ours it
begins when a worker holds the first trial, so what a worker imports after that counts. *With
workers' start*: for ours the whole call of `run_study`, with the starting of its processes and
their imports; B0 starts none. *Command to exit*: the whole process on both sides, with all imports.
*CPU*: user and system time of the process and its children (for ours with the workers' imports).
*In training*: summed over the trials, so trials that run side by side each count. *Others*:
processors that other programs kept busy meanwhile; anything much above 0 spoils the numbers.
Medians; in brackets the least and the most. The arms take turns, and each repetition begins with
another.

**Equal** means: the same best trial; final validation losses within 1e-3 nats (5e-3 where bf16
computes); a trial beyond that is run five times more in B0 with its sums in another order (threads,
order of the blocks inside of a micro-batch), and counts as unstable if B0 does not come back to its
own loss: then ours may be as far outside of B0's runs as those are from each other."""


def write(folder: Path) -> None:
    """Write the report of the JSON files in a folder, into it."""
    parts = {
        path.stem: json.loads(path.read_text("utf-8"))
        for path in (folder / f"{name}.json" for name in (*SIZES, *PARTS))
        if path.is_file()
    }
    measured = {n: p for n, p in parts.items() if n in SIZES and "skipped" not in p}
    (folder / "README.md").write_text("\n\n".join(_sections(parts, measured)) + "\n", "utf-8")
    if measured:
        trials = [f"## {name}\n\n{tables.trial_table(part)}" for name, part in measured.items()]
        head = "# Final validation losses, trial by trial, in nats"
        (folder / "trials.md").write_text("\n\n".join([head, *trials]) + "\n", "utf-8")
        canvas.save(figure_arms, (measured, verdicts(parts)), folder / "benchmarks.png")


def _sections(parts: Mapping[str, Content], measured: Mapping[str, Content]) -> Iterator[str]:
    is_quick = any(part["quick"] for part in parts.values())
    yield "# What people run today, and ours"
    yield "Written by `make bench`; the numbers behind it lie in the JSON files beside it."
    if is_quick:
        yield "**A quick run: a fraction of everything, once. Its numbers say nothing.**"
    yield _machine(parts)
    yield tables.verdict_table(verdicts(parts), is_quick=is_quick)
    if measured:
        yield "![Seconds of every arm, and ratios with floor and aim](benchmarks.png)"
        yield from _missed(parts, measured, is_quick)
    yield "## What was measured, and how"
    yield _CLOCKS
    for name, part in measured.items():
        yield from _size(name, part)
    if measured:
        yield "## The same results"
        yield tables.equality_table(measured)
        yield from _listed(tables.unstable_list(measured))
        yield "Every trial's losses: [trials.md](trials.md)."
    yield from _other_parts(parts)
    skipped = [f"{n}: {p['skipped']}." for n, p in parts.items() if "skipped" in p]
    if skipped:
        yield "## Not measured"
        yield from _listed(skipped)


def _listed(lines: list[str]) -> Iterator[str]:
    if lines:
        yield "\n".join(f"- {line}" for line in lines)


def _machine(parts: Mapping[str, Content]) -> str:
    told = {_machine_line(part) for part in parts.values()}
    return "\n\n".join(sorted(told))


def _machine_line(part: Content) -> str:
    machine = part["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    bf16 = "bf16 arithmetic" if machine["has_bf16"] else "no bf16 arithmetic"
    return (
        f"Machine: {machine['cpu']}, {machine['cores']} cores ({' '.join(machine['cpu_flags'])}; "
        f"{bf16}), {machine['memory_gib']} GiB, {machine['system']}, GPU: "
        f"{machine['cuda'] or 'none'}. Python {machine['python']}, {versions}."
    )


def _missed(
    parts: Mapping[str, Content], measured: Mapping[str, Content], is_quick: bool
) -> Iterator[str]:
    """What was not reached, in words, so that nobody has to look for it."""
    if is_quick:
        return
    missed = [f"{v.what}: below its floor" for v in verdicts(parts) if v.word == "MISSED"]
    for name, part in measured.items():
        found = {arm: equality(part, arm).word for arm in part["runs"] if arm != "B0"}
        missed += [f"{name}, {arm}: {word}" for arm, word in found.items() if word != "equal"]
    busy = [
        f"{name}, {arm}: others kept {most:.2f} processors busy"
        for name, part in measured.items()
        for arm in part["runs"]
        if (most := max(seconds_of(part, arm, "process.others_cpus"))) > 0.2
    ]
    yield "## What missed"
    yield from _listed([*missed, *busy] or ["nothing"])


def _size(name: str, part: Content) -> Iterator[str]:
    size = part["size"]
    tokens, number = size["tokens_per_trial"], len(part["recipes"])
    yield f"## {name}"
    yield (
        f"{size['about']}. {number} trials of {tokens:,} tokens, "
        f"{size['evaluation_tokens']:,} validation tokens, {len(part['runs']['B0'])} repetitions."
    )
    yield tables.arm_table(part)
    yield tables.ratio_table(part)
    yield from _listed([*_throughput(part), *_choices(part)])


def _throughput(part: Content) -> Iterator[str]:
    tokens = part["size"]["tokens_per_trial"] * len(part["recipes"])
    flops = total_flops(part)
    for arm in part["runs"]:
        wall_s = statistics.median(seconds_of(part, arm, "wall_s"))
        yield f"{arm}: {tokens / wall_s:,.0f} tokens/s, {flops / wall_s / 1e9:,.1f} GFLOP/s"


def _choices(part: Content) -> Iterator[str]:
    """What the arms chose by themselves."""
    ours = part["runs"]["ours"][0]["notes"]
    yield (
        f"ours: {ours['crew']}, at most {ours['at_once']} trials at once, "
        f"{', '.join(ours['precisions'])}"
    )
    yield from (f"ours: {note}" for note in ours["training_notes"])
    if part["tuning"] is None:
        return
    for tried in part["tuning"]["tried"]:
        threads = "default threads" if tried["threads"] is None else f"{tried['threads']} threads"
        speed = tried.get("skipped") or f"{tried['tokens_per_s']:,.0f} tokens/s"
        yield f"B1 tried {'bf16' if tried['bf16'] else 'fp32'}, {threads}: {speed}"


def _other_parts(parts: Mapping[str, Content]) -> Iterator[str]:
    for name, write_part in (
        ("alone", _alone),
        ("peak", _peak),
        ("memory", _memory),
        ("orchestration", _orchestration),
        ("pruning", _pruning),
    ):
        if name in parts:
            yield from write_part(parts)


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

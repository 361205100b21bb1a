"""Writes the report of all measurements that lie in a folder: README.md, trials.md, a figure."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sweeper.reports import canvas
from tests.benchmarks import tables
from tests.benchmarks.figure import figure_arms
from tests.benchmarks.plan import PARTS
from tests.benchmarks.sections import sections_of_parts
from tests.benchmarks.sizes import SIZES
from tests.benchmarks.verdicts import (
    Content,
    equality,
    seconds_of,
    total_flops,
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
AdamW (0.9, 0.999, 1e-8), clipping at 1, and are judged on the same validation blocks. The bases of
T and M were pretrained for 200 steps: on random weights a trial's loss waits at that of the
tokens' frequencies and leaves it at a moment that rounding decides, so that runs of one and the
same trial end far apart, and equal is a matter of chance (studies/LOG.md, 2026-11-29).

**Clocks.** *Wall*: from the first trial's set-up (corpus read and tokenized, base loaded) to the
last trial's result, the making of the base and all imports left out on both sides; for ours it
begins when a worker holds the first trial, and the imports of a worker after that are measured
apart, with a study in one process. *With imports*: the same with what is imported in that time.
*With workers' start*: for ours the whole call of `run_study`, with the starting of its processes
and what they import before they hold a trial; B0 starts none. Where ours measures who should train
(workers, threads, trials at a time), that counts as wall; the tuning of B1 does not. *Command to
exit*: the whole process on both sides, with all imports. *CPU*: user and system time of the process
and its children (for ours with the workers' imports). *In training*: summed over the trials, so
trials that run side by side each count. *Others*: processors that other programs kept busy
meanwhile; anything much above 0 spoils the numbers. Medians; in brackets the least and the most.
The arms take turns, and each repetition begins with another.

**Equal** means: the same best trial; final validation losses within 1e-3 nats (5e-3 where bf16
computes); a trial beyond that is run four times more in B0 with its sums in another order (one
thread, or the blocks of a micro-batch in another order: the same gradient but for rounding), and
counts as unstable if B0 does not come back to its own loss: then ours may be as far outside of B0's
runs as those are from each other. One that is still beyond, or came back to its loss each time, is
run 20 times more, since some trials fall to one of two sides. Where an arm computes in bf16, B0's
further runs do so too, by autocast, and beside the best trials stands the best of B0 with the
medians of these runs."""


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
    yield from _machines(parts)
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
    yield from sections_of_parts(parts)
    skipped = [f"{n}: {p['skipped']}." for n, p in parts.items() if "skipped" in p]
    if skipped:
        yield "## Not measured"
        yield from _listed(skipped)


def _listed(lines: list[str]) -> Iterator[str]:
    if lines:
        yield "\n".join(f"- {line}" for line in lines)


def _machines(parts: Mapping[str, Content]) -> Iterator[str]:
    """Every machine, with what was measured on it where there are several."""
    measured_on: dict[str, list[str]] = {}
    for name, part in parts.items():
        measured_on.setdefault(_machine_line(part), []).append(name)
    for line, names in measured_on.items():
        yield line if len(measured_on) == 1 else f"{line} There: {', '.join(names)}."


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
    missed = [
        f"{v.what}: {'more than it may be' if v.at_most else 'below its floor'}"
        for v in verdicts(parts)
        if v.word == "MISSED"
    ]
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
        f"{size['evaluation_tokens']:,} validation tokens, {_times(len(part['runs']['B0']))}."
    )
    yield tables.arm_table(part)
    yield tables.ratio_table(part)
    yield from _listed([*_throughput(part), *_choices(part)])


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times in turn"


def _throughput(part: Content) -> Iterator[str]:
    tokens = part["size"]["tokens_per_trial"] * len(part["recipes"])
    flops = total_flops(part)
    for arm in part["runs"]:
        wall_s = statistics.median(seconds_of(part, arm, "net_s"))
        yield f"{arm}: {tokens / wall_s:,.0f} tokens/s, {flops / wall_s / 1e9:,.1f} GFLOP/s"


def _choices(part: Content) -> Iterator[str]:
    """What the arms chose by themselves."""
    ours = part["runs"]["ours"][0]["notes"]
    yield (
        f"ours: {_crew(ours)}, at most {ours['at_once']} trials at once, "
        f"{', '.join(ours['precisions'])}{_kernels(ours)}"
    )
    yield from (f"ours: {note}" for note in ours["training_notes"])
    if part["tuning"] is None:
        return
    for tried in part["tuning"]["tried"]:
        threads = "default threads" if tried["threads"] is None else f"{tried['threads']} threads"
        speed = tried.get("skipped") or f"{tried['tokens_per_s']:,.0f} tokens/s"
        yield f"B1 tried {'bf16' if tried['bf16'] else 'fp32'}, {threads}: {speed}"


def _kernels(notes: Mapping[str, Any]) -> str:
    """Whose; not told by parts that are older than ours."""
    return f", {', '.join(notes['kernels'])} kernels" if "kernels" in notes else ""


def _crew(notes: Mapping[str, Any]) -> str:
    chosen = {name: notes["crew"].get(name) for name in ("count", "threads", "slots")}
    if None in chosen.values():
        return f"{', '.join(map(str, notes['threads']))} threads a worker"
    return (
        f"{chosen['count']} workers of {chosen['threads']} threads and {chosen['slots']} slots, "
        f"chosen in {notes['choosing_s']:.1f} s"
    )

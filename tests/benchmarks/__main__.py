"""Measure, and write the report: `python -m tests.benchmarks`, or `make bench`.

    --size NAME     only these sizes (T, M, default, gpt2, cuda-128, cuda-1024; none: no size)
    --part NAME     only these other parts (alone, peak, memory, orchestration, beside, scale,
                    pruning; none)
    --trials N      of the study that the part scale reports, instead of 10,000
    --quick         a fraction of everything, once: for whether it works, not how fast
    --fresh         measure again what an interrupted bench has measured
    --out FOLDER    where the report goes

An interrupted bench goes on where it was, as long as the code is the same.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.benchmarks import report
from tests.benchmarks.journal import ROOT, Journal, say
from tests.benchmarks.machine import describe_machine
from tests.benchmarks.plan import PARTS, Bench, measure_size, sizes_to_measure
from tests.benchmarks.sizes import SIZES, Size, quick


def main() -> None:
    """Measure what the command line asks for; write it and the report of all that is there."""
    options = _options()
    machine = describe_machine()
    sizes = sizes_to_measure(options.quick, quick)
    work = ROOT / "build" / ("benchmarks-quick" if options.quick else "benchmarks")
    journal = Journal(work, fresh=options.fresh)
    has_bf16, has_cuda = machine["has_bf16"], machine["cuda"] is not None
    bench = Bench(journal, work, has_bf16, has_cuda, options.quick, options.trials)
    out = options.out or (work / "report" if options.quick else ROOT / "reports" / "benchmarks")
    out.mkdir(parents=True, exist_ok=True)
    about = {"machine": machine, "quick": options.quick}
    began = time.monotonic()
    for name in _chosen(options.part, PARTS):
        _write(out / f"{name}.json", {**about, "part": name, **PARTS[name](bench, sizes)})
    for name in _chosen(options.size, SIZES):
        _write(out / f"{name}.json", {**about, **_measure(bench, sizes[name])})
    say(f"measured in {(time.monotonic() - began) / 60:.1f} min")
    report.write(out)
    say(f"report: {out.relative_to(ROOT) if out.is_relative_to(ROOT) else out.name}/README.md")


def _measure(bench: Bench, size: Size) -> dict[str, Any]:
    """A size's measurements, or why there are none."""
    about = {"size": asdict(size)}
    if size.needs_cuda and not bench.has_cuda:
        reason = "needs a CUDA device, and there is none on this machine"
        say(f"{size.name}: skipped ({reason})")
        return {**about, "skipped": reason}
    return {**about, **measure_size(bench, size)}


def _chosen(wanted: list[str] | None, known: Mapping[str, object]) -> list[str]:
    return list(known) if wanted is None else [name for name in wanted if name != "none"]


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", "utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("--size", nargs="+", choices=[*SIZES, "none"])
    parser.add_argument("--part", nargs="+", choices=[*PARTS, "none"])
    parser.add_argument("--trials", type=int)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()

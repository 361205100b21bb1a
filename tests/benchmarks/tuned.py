"""What a patient user would tune about the stock arm: precision, GELU, threads."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import torch

from sweeper.study import Hyperparameters
from tests.benchmarks import gemm
from tests.benchmarks.job import Job
from tests.benchmarks.stock import Settings, run_job

STEPS = 6
# Below this share of the fp32 rate bf16 has no hardware: minutes of trying would say the same.
_HOPELESS = 0.2


def run(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The arm as a process runs it."""
    recipe = Hyperparameters.model_validate(payload["recipe"])
    settings, tried = tune(Job.read(payload["job"]), recipe)
    return {"settings": asdict(settings), "tried": tried}


def tune(job: Job, recipe: Hyperparameters) -> tuple[Settings, list[dict[str, Any]]]:
    """The fastest of precisions and thread counts on a size's nominal step.

    Returns:
        The settings, and what each one that was tried took: `tokens_per_s`, or why it was not.
    """
    tried: list[dict[str, Any]] = []
    best, most = Settings(fused_gelu=True), 0.0
    for settings in _candidates():
        if settings.bf16 and (reason := _no_bf16(settings.threads)):
            tried.append({**asdict(settings), "skipped": reason})
            continue
        speed = _tokens_per_s(job, recipe, settings)
        tried.append({**asdict(settings), "tokens_per_s": speed})
        if speed > most:
            best, most = settings, speed
    return best, tried


def _candidates() -> list[Settings]:
    threads = [None] if torch.cuda.is_available() else sorted({1, os.cpu_count() or 1})
    return [
        Settings(bf16=bf16, fused_gelu=True, threads=count)
        for bf16 in (False, True)
        for count in threads
    ]


def _no_bf16(threads: int | None) -> str | None:
    if torch.cuda.is_available():
        return None
    rates = {dtype: gemm.rate(256, dtype, threads or 1) for dtype in ("fp32", "bf16")}
    if rates["bf16"] >= _HOPELESS * rates["fp32"]:
        return None
    return (
        f"a bf16 GEMM runs at {rates['bf16'] / 1e9:.1f} GFLOP/s here, an fp32 one at "
        f"{rates['fp32'] / 1e9:.1f}"
    )


def _tokens_per_s(job: Job, recipe: Hyperparameters, settings: Settings) -> float:
    """Of the second of two equal trials."""
    folder = job.folder / f"{settings.bf16}-{settings.threads}"
    folder.mkdir()
    short = replace(
        job,
        folder=folder,
        tokens_per_trial=STEPS * recipe.tokens_per_step,
        recipes=(recipe, recipe),
    )
    trial = run_job(short, settings).trials[1]
    return trial.tokens / trial.training_s

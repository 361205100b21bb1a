"""What people run today: Optuna, the Hugging Face Trainer and peft, one trial after another.

The base is loaded once and gets a fresh adapter for every trial; most scripts load it again for
each. Nothing is logged, saved or evaluated but the final loss: less than ours does.
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import optuna
import peft  # noqa: F401  (its seconds belong to the imports, which are outside of the clock)
import torch
from transformers import AutoConfig, AutoModelForCausalLM, Trainer, TrainingArguments
from transformers.utils import logging

from sweeper.data import Blocks, training_blocks
from sweeper.models.base import Base
from sweeper.models.lora import attach_adapter, detach_adapter
from sweeper.study import Hyperparameters
from sweeper.study.schedule import learning_rate_at
from sweeper.training.device import find_device
from sweeper.training.engine import EVALUATION_TOKENS
from sweeper.training.workbench import Workbench, set_up
from tests.benchmarks.imports import ImportWatch
from tests.benchmarks.job import ArmRecord, Clock, Job, TrialRecord, peak_rss_mib


@dataclass(frozen=True)
class Settings:
    """What may be tuned about a Trainer.

    Attributes:
        bf16: Autocast.
        fused_gelu: torch's own tanh GELU in place of GPT-2's, which is six kernels.
        threads: Of torch; None for its default, one per core.
        order_seed: Shuffles the blocks inside of every micro-batch: the same gradient, summed in
            another order. None leaves them as they are.
    """

    bf16: bool = False
    fused_gelu: bool = False
    threads: int | None = None
    order_seed: int | None = None


def run(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The arm as a process runs it."""
    return run_job(Job.read(payload["job"]), Settings(**payload["settings"])).as_dict()


def run_job(job: Job, settings: Settings) -> ArmRecord:
    """Train all trials of a job, one after another."""
    with ImportWatch() as watch:
        record = _run_job(job, settings)
    return replace(record, imports_s=watch.seconds)


def _run_job(job: Job, settings: Settings) -> ArmRecord:
    logging.set_verbosity_error()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    clock = Clock()
    bench = set_up(job.ground, find_device(settings.threads or torch.get_num_threads()))
    sweep = _Sweep(job, settings, bench)
    study = optuna.create_study(
        storage=f"sqlite:///{job.folder / 'optuna.db'}",
        sampler=optuna.samplers.RandomSampler(seed=job.seed),
    )
    for recipe in job.recipes:
        study.enqueue_trial({name: getattr(recipe, name) for name in _SEARCHED})
    study.optimize(sweep.objective, n_trials=len(job.recipes))
    notes = {
        "settings": asdict(settings),
        "threads": torch.get_num_threads(),
        "peak_rss_mib": peak_rss_mib(),
    }
    wall_s = clock.wall_s()
    return ArmRecord(wall_s, clock.cpu_s(), wall_s, 0.0, sweep.records, notes)


_SEARCHED = ("learning_rate", "block_size", "batch_size", "accumulation", "schedule", "rank")


def _suggest(trial: optuna.Trial) -> None:
    trial.suggest_float("learning_rate", 1e-6, 10.0, log=True)
    for name in ("block_size", "batch_size", "accumulation", "rank"):
        trial.suggest_int(name, 1, 4096)
    trial.suggest_categorical("schedule", ("constant", "linear", "cosine"))


class _Sweep:
    def __init__(self, job: Job, settings: Settings, bench: Workbench) -> None:
        self._job = job
        self._settings = settings
        self._bench = bench
        self._model = load_base(bench.base, settings)
        self.records: list[TrialRecord] = []

    def objective(self, trial: optuna.Trial) -> float:
        """One trial: a fresh adapter, a Trainer, and its loss on the validation set."""
        _suggest(trial)
        recipe = self._job.recipes[trial.number]
        assert recipe.seed is not None, "the job's recipes have seeds"
        adapted = attach_adapter(self._model, recipe, recipe.seed)
        trainer = self._trainer(adapted, recipe)
        began = time.perf_counter()
        trainer.train()
        training_s = time.perf_counter() - began
        loss = float(trainer.evaluate()["eval_loss"])
        tokens = recipe.blocks_within(self._job.tokens_per_trial) * recipe.block_size
        finite = loss if math.isfinite(loss) else None
        self.records.append(TrialRecord(finite, training_s, tokens))
        self._model = detach_adapter(trainer.model)
        del trainer, adapted
        gc.collect()  # a Trainer is a circle, and would keep its optimizer for a while
        return loss

    def _trainer(self, adapted: Any, recipe: Hyperparameters) -> Trainer:
        blocks = training_blocks(
            self._bench.stream(recipe.seed or 0),
            start_tokens=0,
            num_blocks=recipe.blocks_within(self._job.tokens_per_trial),
            block_size=recipe.block_size,
        )
        if self._settings.order_seed is not None:
            blocks = _reordered(blocks, recipe.batch_size, self._settings.order_seed)
        arguments = self._arguments(recipe)
        trainer = Trainer(
            model=adapted,
            args=arguments,
            train_dataset=BlockDataset(blocks),
            eval_dataset=BlockDataset(self._bench.validation),
        )
        total_steps = recipe.steps_within(self._job.tokens_per_trial)
        trainer.create_optimizer()
        trainer.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
            trainer.optimizer,
            lambda step: learning_rate_at(step, total_steps, recipe) / recipe.learning_rate,
        )
        return trainer

    def _arguments(self, recipe: Hyperparameters) -> TrainingArguments:
        return TrainingArguments(
            output_dir=str(self._job.folder / "trainer"),
            num_train_epochs=1,
            per_device_train_batch_size=recipe.batch_size,
            per_device_eval_batch_size=max(EVALUATION_TOKENS // self._job.block_size, 1),
            gradient_accumulation_steps=recipe.accumulation,
            learning_rate=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            max_grad_norm=recipe.clip_norm or 0.0,
            train_sampling_strategy="sequential",
            remove_unused_columns=False,
            bf16=self._settings.bf16,
            use_cpu=self._bench.device.kind == "cpu",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            seed=recipe.seed,
        )


class BlockDataset(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """Blocks as a Trainer wants them; the targets are shifted already, and it is told so."""

    def __init__(self, blocks: Blocks) -> None:
        self._inputs = torch.from_numpy(blocks.inputs)
        self._targets = torch.from_numpy(blocks.targets)

    def __len__(self) -> int:
        return len(self._inputs)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        targets = self._targets[index]
        return {"input_ids": self._inputs[index], "labels": targets, "shift_labels": targets}


def _reordered(blocks: Blocks, batch_size: int, seed: int) -> Blocks:
    generator = np.random.default_rng(seed)
    size = len(blocks.inputs)
    order = np.concatenate(
        [
            start + generator.permutation(min(batch_size, size - start))
            for start in range(0, size, batch_size)
        ]
    )
    return Blocks(blocks.inputs[order], blocks.targets[order])


def load_base(base: Base, settings: Settings) -> Any:
    """The base as `from_pretrained` gives it; dropout is off, as in every arm."""
    config = AutoConfig.from_pretrained(base.folder)
    for name in ("attn_pdrop", "embd_pdrop", "resid_pdrop"):
        setattr(config, name, 0.0)
    if settings.fused_gelu:
        config.activation_function = "gelu_pytorch_tanh"
    return AutoModelForCausalLM.from_pretrained(base.folder, config=config, dtype=torch.float32)

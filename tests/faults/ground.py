"""The studies that faults happen to: 200-token trials with checkpoints, on next to nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
import yaml
from transformers import GPT2Config, GPT2LMHeadModel

from sweeper.models.base import quiet_transformers
from sweeper.models.tiny import write_tiny_tokenizer
from sweeper.study import StudySpec, load_study
from tests.tiny import qa_text, write_corpus
from tests.training.scripts import write_script

TOKENS_PER_TRIAL = 192
EVERY_TOKENS = 48
_VOCABULARY = 320

_STUDY: dict[str, Any] = {
    "name": "struck",
    "seed": 3,
    "model": "./base",
    "data": {"train": "./qa.md", "validation": "10%"},
    "engine": "packed",
    "evaluate": {"block_size": 16, "every_tokens": EVERY_TOKENS, "tokens": 64},
    "baseline": {
        "hyperparameters": {
            "block_size": 16,
            "batch_size": 1,
            "learning_rate": 1e-3,
            "rank": 1,
            "alpha": 2,
            "precision": "fp32",
        }
    },
    "search": {"sampler": "list"},
    "prune": {"spike": "off", "plateau": "off", "peers": "off"},
    "workers": {"count": 1, "backend": "loky", "threads": 1, "slots": 1},
}

# A step's loss depends on all steps before it, as training's does: a script that forgot one, or
# took one twice, would print another curve. Its state is replaced whole, as a checkpoint is.
SCRIPT = """
    import json, os, pathlib, time
    folder, rate = pathlib.Path(os.environ["TRIAL_FOLDER"]), float(os.environ["LEARNING_RATE"])
    path = folder / "state.json"
    step, weight = 0, 5.0
    if os.environ.get("RESUME") and path.exists():
        step, weight = json.loads(path.read_text())
    while True:
        print(f"step {step}: val loss {weight!r}", flush=True)
        if step == int(os.environ["TRAINING_STEPS"]):
            break
        time.sleep(float(os.environ.get("STEP_SECONDS", "0.002")))
        step, weight = step + 1, weight - rate * (weight - 1.0) * (1 + step % 3)
        (folder / "state.tmp").write_text(json.dumps([step, weight]))
        (folder / "state.tmp").replace(path)
"""


def trained_study(folder: Path, num_trials: int, **changes: Any) -> StudySpec:
    """A study that trains: GPT-2 of one layer, 16 wide, untrained, twelve steps a trial.

    Args:
        folder: Gets the study file, the base and the corpus.
        num_trials: The baseline and a list of other learning rates.
        changes: To the study's keys.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "base").exists():
        _write_base(folder / "base")
    write_corpus(folder / "qa.md")
    return _load(folder, num_trials, changes)


def scripted_study(
    folder: Path, num_trials: int, script: str = SCRIPT, **changes: Any
) -> StudySpec:
    """A study of a script that needs nothing but the standard library, and resumes by itself.

    Args:
        folder: Gets the study file and the script.
        num_trials: The baseline and a list of other learning rates.
        script: What `training.py` says; it may be indented as a whole.
        changes: To the study's keys.
    """
    write_script(folder, script)
    engine = {"command": [sys.executable, "-I", "-S", "-u", "training.py"], "grace": 2}
    evaluate = {"every_tokens": EVERY_TOKENS}
    own = {"model": None, "data": None, "engine": engine, "evaluate": evaluate}
    return _load(folder, num_trials, own | changes)


def _load(folder: Path, num_trials: int, changes: dict[str, Any]) -> StudySpec:
    budget = {"trials": num_trials, "tokens_per_trial": TOKENS_PER_TRIAL}
    trials = [{"learning_rate": 1e-3 * 1.03**number} for number in range(1, num_trials)]
    search = {} if num_trials > 1 else {"search": {"sampler": "random"}}
    plain = {**_STUDY, "budget": budget, "trials": trials, **search, **changes}
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in plain.items() if v is not None}), "utf-8")
    return load_study(path)


def _write_base(folder: Path) -> None:
    quiet_transformers()
    folder.mkdir()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        GPT2LMHeadModel(
            GPT2Config(
                vocab_size=_VOCABULARY,
                n_positions=32,
                n_embd=16,
                n_layer=1,
                n_head=1,
                bos_token_id=0,
                eos_token_id=0,
            )
        ).save_pretrained(folder)
    write_tiny_tokenizer([qa_text(1), "It sorts a list in place.", "by their first letter"], folder)

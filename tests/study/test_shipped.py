"""The studies that come with the project."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sweeper.errors import StudyFileError
from sweeper.study import Choice, Range, load_study

STUDIES = Path(__file__).parents[2] / "studies"


def test_plateau() -> None:
    spec = load_study(STUDIES / "plateau.yaml")
    assert (spec.name, spec.seed, spec.model) == ("plateau", 17, "builtin:tiny")
    assert (spec.data.train, spec.data.validation) == ("builtin:pydoc-qa", 0.05)
    assert (spec.evaluate.block_size, spec.evaluate.every_tokens, spec.evaluate.tokens) == (
        128,
        40_000,
        4_000,
    )
    assert (spec.budget.trials, spec.budget.tokens_per_trial) == (24, 240_000)
    assert spec.budget.wall_clock_s == 1800.0
    assert spec.baseline_hyperparameters.learning_rate == 2e-5
    assert spec.baseline_hyperparameters.warmup == 0.1
    assert spec.baseline_hyperparameters.seed == 17
    assert spec.space["learning_rate"] == Range(low=1e-5, high=1e-1, log=True)
    assert spec.space["block_size"] == Choice((64, 128, 256))
    assert [hypothesis.name for hypothesis in spec.hypotheses] == [
        "smaller blocks",
        "bigger batch",
        "constant low LR",
        "constant 10x LR",
    ]
    assert spec.output_folder == STUDIES.parent / "reports" / "plateau"


def test_recorded_baseline_shows_the_spike() -> None:
    path = load_study(STUDIES / "plateau.yaml").recorded_path
    assert path is not None
    rows = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
    assert rows[0] == ["step", "train_loss", "val_loss", "steps_per_sec"]
    assert len(rows) == 7
    assert max(rows[2:], key=lambda row: float(row[1]))[0] == "2000"


def test_gpt2_asks_for_the_corpus_and_nothing_else() -> None:
    with pytest.raises(StudyFileError) as caught:
        load_study(STUDIES / "gpt2.yaml")
    assert [problem.key for problem in caught.value.problems] == ["data.train"]
    assert load_study(STUDIES / "gpt2.yaml", ["data.train=gpt2.yaml"]).model == "gpt2"


def test_own_script_sweeps_the_script_beside_it() -> None:
    spec = load_study(STUDIES / "examples" / "own_script.yaml")
    assert spec.command is not None
    assert spec.command.command == ("python", "training.py")
    assert spec.output_folder.resolve() == STUDIES.parent / "reports" / "own-script"
    script = (STUDIES / "examples" / "training.py").read_text(encoding="utf-8")
    told = spec.command.variables
    searched = {*spec.space, "accumulation", "seed", "total_steps", "warmup_steps"}
    assert [name for name in searched if f'"{told[name]}"' not in script] == []
    assert "sweeper" not in script.split('"""')[2]


def test_own_script_runs_by_itself_and_says_the_same_again() -> None:
    def lines() -> list[str]:
        run = subprocess.run(
            [sys.executable, "training.py"],
            cwd=STUDIES / "examples",
            env={**os.environ, "TRAINING_STEPS": "6", "LEARNING_RATE": "1e-2", "BATCH_SIZE": "2"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stderr == ""
        return [line.split(", time")[0] for line in run.stdout.splitlines()]

    once = lines()
    assert [line.split(":")[0] for line in once if line[0] == "s"] == ["step 0", "step 6"]
    assert lines() == once


def test_reading_a_study_imports_nothing_heavy() -> None:
    heavy = ["torch", "transformers", "peft", "optuna", "numpy", "scipy", "matplotlib"]
    code = f"import sys, sweeper.study; print([name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_untrained_tries_the_embeddings_beside_the_seed_s_recipe() -> None:
    spec = load_study(STUDIES / "untrained.yaml")
    assert spec.model == "builtin:untrained"
    stuck = load_study(STUDIES / "plateau.yaml").baseline_hyperparameters
    assert spec.baseline_hyperparameters == stuck
    assert "train_also" not in spec.space
    tried = [hypothesis.change.get("train_also") for hypothesis in spec.hypotheses]
    assert tried == [None, None, None, "embeddings+norms"]

"""The program as a person calls it: exit codes, streams, messages."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.program import call, start_and_wait

STUDIES = Path(__file__).parent.parent / "studies"


def imported_by(*words: str) -> set[str]:
    """Top-level modules that a call imports."""
    code = (
        "import sys\nfrom sweeper.cli import app\n"
        f"try: app({list(words)!r})\nexcept SystemExit: pass\n"
        "print('\\n'.join({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stderr.split())


# What only training, searching, judging curves and drawing need.
HEAVY = {
    *("torch", "transformers", "peft", "tokenizers", "safetensors", "huggingface_hub"),
    *("optuna", "optuna_dashboard", "sqlalchemy", "alembic", "cmaes", "joblib"),
    *("numpy", "scipy", "matplotlib", "jinja2", "rich"),
}


@pytest.mark.parametrize(
    "words",
    [("--help",), *((command, "--help") for command in ("run", "train", "report", "diagnose"))],
)
def test_help_imports_nothing_but_what_parses_the_command_line(words: tuple[str, ...]) -> None:
    modules = imported_by(*words)

    assert "typer" in modules
    assert not modules & (HEAVY | {"pydantic", "pydantic_core", "yaml"})


@pytest.mark.parametrize("words", [("schema",), ("validate", str(STUDIES / "plateau.yaml"))])
def test_what_only_reads_a_study_file_imports_no_more_than_that_takes(
    words: tuple[str, ...],
) -> None:
    modules = imported_by(*words)

    assert {"pydantic", "yaml"} <= modules
    assert not modules & HEAVY


def test_the_shipped_study_is_valid(tmp_path: Path) -> None:
    done = call("validate", str(STUDIES / "plateau.yaml"), cwd=tmp_path)

    assert done.returncode == 0
    assert "a valid study of 24 trials" in done.stdout
    assert done.stderr == ""


def test_all_problems_of_a_study_file_come_at_once_with_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(
        "name: x\nmodel: builtin:tiny\ndata: {train: builtin:pydoc-qa}\n"
        "budget: {trials: 0, tokens_per_trial: 1k}\nspace:\n  learning_rat: [1e-3]\n"
    )

    done = start_and_wait("run", "bad.yaml", cwd=tmp_path)

    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert [line.split("  ")[0] for line in lines[:2]] == ["bad.yaml:4:18", "bad.yaml:6:3"]
    assert "did you mean learning_rate?" in lines[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.yaml"]


def test_an_unknown_command_is_a_usage_error(tmp_path: Path) -> None:
    assert call("swep", cwd=tmp_path).returncode == 2


def test_the_schema_is_json(tmp_path: Path) -> None:
    schema = json.loads(call("schema", cwd=tmp_path).stdout)

    assert "space" in schema["properties"]


@pytest.mark.parametrize("command", ["report", "status", "reproduce", "dashboard"])
def test_a_study_that_was_never_run_says_what_to_do(command: str, tmp_path: Path) -> None:
    (tmp_path / "new.yaml").write_text(
        (STUDIES / "plateau.yaml")
        .read_text()
        .replace("baselines/gpt2-mps.csv", str(STUDIES / "baselines" / "gpt2-mps.csv"))
    )

    done = call(command, "new.yaml", cwd=tmp_path)

    assert done.returncode == 1
    assert "has not been run yet" in done.stderr
    assert "sweeper run new.yaml" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "reports").exists()


def test_train_takes_the_environment_names_and_flags_win(tmp_path: Path) -> None:
    done = start_and_wait(
        "train",
        "--learning-rate=1e-3",
        "--model=builtin:untrained",
        "--threads=1",
        cwd=tmp_path,
        SWEEPER_CACHE=str(tmp_path / "cache"),
        TRAINING_STEPS="3",
        BLOCK_SIZE="16",
        BATCH_SIZE="2",
        LEARNING_RATE="5",
        SCHEDULE="constant",
    )

    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "runs/train/manifest.json").read_text())
    recipe = manifest["plan"]["hyperparameters"]
    assert [recipe[key] for key in ("block_size", "batch_size", "schedule")] == [16, 2, "constant"]
    assert recipe["learning_rate"] == 1e-3
    assert manifest["result"]["tokens"] == 3 * 2 * 16
    assert done.stderr == ""  # quiet where no terminal is


@pytest.mark.usefixtures("torch_as_it_was")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--set", "learning_rat=1"), "did you mean learning_rate?"),
        (("--set", "rank=0"), "rank"),
        (("--tokens=100",), "give one of them"),
        (("--data=nowhere.md",), "nowhere.md"),
        (("--model=./nowhere",), "nowhere"),
    ],
)
def test_train_refuses_with_a_message(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    done = call(
        "train", *words, cwd=tmp_path, SWEEPER_CACHE=str(tmp_path / "cache"), TRAINING_STEPS="1"
    )

    assert done.returncode in {1, 2}
    assert message in done.stderr
    assert "Traceback" not in done.stderr

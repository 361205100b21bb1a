"""A case holds what was given, and nothing that was not."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from sweeper.curves import Curve, Finding, FindingKind, Point, point_to_json
from sweeper.diagnosis.case import Case, Evidence
from sweeper.diagnosis.gather import Request, event_steps, gather
from sweeper.diagnosis.rate import scheduled_rate
from sweeper.errors import BaseError, DataError, LogError, UsageError
from sweeper.models.tiny import write_tiny_tokenizer
from sweeper.study import Hyperparameters
from tests.diagnosis.corpora import prose

RECORDED = Path(__file__).parents[2] / "studies" / "baselines" / "gpt2-mps.csv"
FLAGS = (
    "learning_rate=2e-5",
    "schedule=cosine",
    "warmup=500",
    "cosine_steps=4500",
    "block_size=4",
    "batch_size=1",
)
STUDY = """\
name: s
model: ./gone
data: {train: notes.txt}
budget: {trials: 3, tokens_per_trial: 40k}
"""


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a corpus in it."""
    monkeypatch.chdir(tmp_path)
    texts = "\n\n".join(prose(99, seed=seed) for seed in range(60))
    (tmp_path / "notes.txt").write_text(texts)
    return tmp_path


def recorded(**given: object) -> Case:
    return gather(Request(RECORDED, **given))  # type: ignore[arg-type]


def test_a_log_alone() -> None:
    case = recorded()

    assert [point.step for point in case.curve] == [0, 500, 1000, 1500, 2000, 2500]
    assert case.of_kind(FindingKind.SPIKE)[0].start_step == 2000
    assert case.evidence == {Evidence.LOG, Evidence.VALIDATION, Evidence.TIMES}
    assert (case.corpus, case.model, case.is_trial, case.checkpoint_steps) == (
        None,
        None,
        False,
        (),
    )


def test_a_log_from_standard_input() -> None:
    case = gather(Request(None), stdin=io.BytesIO(RECORDED.read_bytes()))
    assert case.curve == recorded().curve


def test_a_configuration_gives_the_rate_at_every_step() -> None:
    case = recorded(config=FLAGS)

    assert scheduled_rate(case.config, 2000) == pytest.approx(1.5e-5)
    assert Evidence.CONFIG in case.evidence


def test_a_corpus_is_looked_at_around_the_findings(notes: Path) -> None:
    case = recorded(config=FLAGS, data="notes.txt")

    assert case.corpus is not None
    assert {1500, 2000, 2500} <= set(case.corpus.events)
    assert all(passage.name.startswith("notes.txt:") for passage in case.corpus.events[2000])


def test_a_study_is_enough_to_find_its_corpus_and_what_has_gone_is_noted(notes: Path) -> None:
    (notes / "studies").mkdir()
    (notes / "studies" / "study.yaml").write_text(STUDY)

    case = recorded(config=("studies/study.yaml",))

    assert case.corpus is None
    assert len(case.notes) == 2
    assert "./gone" in case.notes[0]
    assert "notes.txt" in case.notes[1]

    given = recorded(config=("studies/study.yaml",), data="notes.txt")
    assert given.corpus is not None
    assert not given.corpus.is_exact
    assert "without the run's tokenizer" in given.notes[1]


def test_a_studys_corpus_beside_it_is_read(notes: Path) -> None:
    (notes / "study.yaml").write_text(STUDY.replace("model: ./gone\n", ""))

    case = recorded(config=("study.yaml",))

    assert case.corpus is not None
    assert case.corpus.source == "notes.txt"


def test_a_trial_of_a_users_command_is_a_log_with_a_configuration(tmp_path: Path) -> None:
    plan = {"hyperparameters": Hyperparameters(block_size=64).model_dump(), "tokens": 64_000}
    (tmp_path / "manifest.json").write_text(json.dumps({"plan": plan}))
    (tmp_path / "curve.jsonl").write_text(
        "".join(point_to_json(Point(n, 512 * n, train_loss=5.0 - n / 50)) + "\n" for n in range(9))
    )

    case = gather(Request(tmp_path))

    assert not case.is_trial
    assert len(case.curve) == 9
    assert (case.config.get("block_size"), case.config.get("total_steps")) == (64, 125)
    assert case.corpus is None


def test_a_base_tells_its_vocabulary_and_its_tokens(notes: Path) -> None:
    base = notes / "base"
    base.mkdir()
    (base / "config.json").write_text('{"model_type": "gpt2", "vocab_size": 1024, "n_layer": 3}')
    write_tiny_tokenizer([prose(500, seed=1)], base)

    case = recorded(data="notes.txt", model="base")

    assert case.model is not None
    assert case.corpus is not None
    assert case.corpus.is_exact
    assert (case.config.get("vocab_size"), case.config.get("num_layers")) == (1024, 3)
    assert case.config.origins["num_layers"] == "config.json:1"
    assert {Evidence.MODEL, Evidence.DATA} <= case.evidence


def test_checkpoints_are_listed_and_tell_how_often_they_were_saved(tmp_path: Path) -> None:
    for name in ("step_500.pt", "step_1000.pt", "step_1500.pt", "best.pt"):
        (tmp_path / name).write_bytes(b"")

    case = recorded(checkpoints=tmp_path)

    assert case.checkpoint_steps[-1] == (1500, "step_1500.pt")
    assert case.config.get("save_steps") == 500
    assert case.config.origins["save_steps"] == "checkpoint names"
    assert case.notes == ("checkpoints that tell no step: best.pt",)


def test_an_event_begins_at_the_point_before_it() -> None:
    curve = Curve(tuple(Point(step, 0, train_loss=1.0) for step in (0, 10, 20, 30, 40)))

    def found(kind: FindingKind, step: int) -> dict[int, int]:
        return event_steps(curve, [Finding(kind, step, step, 1.0, None, "")])

    assert found(FindingKind.SPIKE, 20) == {10: 0, 20: 10, 30: 20}
    assert found(FindingKind.SPIKE, 40) == {30: 20, 40: 30}
    assert found(FindingKind.SPIKE, 0) == {10: 0}
    assert found(FindingKind.PLATEAU, 30) == {30: 20}
    assert event_steps(curve, []) == {}


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"config": ("missing.yaml",)}, UsageError, "no such file"),
        ({"data": "missing.txt"}, DataError, "does not exist"),
        ({"model": "./missing"}, BaseError, "not on this machine"),
        ({"checkpoints": Path("missing")}, UsageError, "--checkpoints missing"),
    ],
)
def test_what_the_user_named_must_be_there(
    notes: Path, given: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        recorded(**given)


def test_a_missing_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogError, match=r"missing\.csv"):
        gather(Request(tmp_path / "missing.csv"))


def test_nothing_heavy_is_imported(notes: Path) -> None:
    (notes / "base").mkdir()
    (notes / "base" / "config.json").write_text('{"model_type": "gpt2", "vocab_size": 1024}')
    write_tiny_tokenizer([prose(500, seed=1)], notes / "base")
    script = (
        "import sys; from pathlib import Path; from sweeper.diagnosis.gather import *; "
        f"gather(Request(Path({str(RECORDED)!r}), data='notes.txt', model='./base')); "
        "print(sorted({'torch', 'transformers', 'peft', 'optuna'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"

"""A pickle that would leave a mark, in every place from which something is read."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sweeper.data import read_corpus
from sweeper.diagnosis.gather import Request, gather
from sweeper.errors import SweeperError
from sweeper.models.base import Base, find_base, load_model, load_tokenizer
from sweeper.search.replay.bank import read_bank
from sweeper.training.checkpoint import CheckpointFolder, Progress
from tests.tiny import write_base

_EVIL_CODE = "from pathlib import Path\nPath({mark!r}).touch()\nclass Evil: ...\n"


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self._mark,)


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """Is there once a bomb has gone off."""
    return tmp_path / "mark"


@pytest.fixture
def bomb(mark: Path) -> bytes:
    return pickle.dumps(Bomb(mark))


def assert_harmless(mark: Path, read: Callable[[], object]) -> None:
    """The reader refuses in words, and has run nothing."""
    with pytest.raises(SweeperError):
        read()
    assert not mark.exists()


def test_the_bomb_is_one(bomb: bytes, mark: Path) -> None:
    pickle.loads(bomb)
    assert mark.exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_in_the_weights_of_a_base(bomb: bytes, mark: Path, tmp_path: Path, name: str) -> None:
    folder = write_base(tmp_path / "base").folder
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(bomb)
    assert_harmless(mark, lambda: load_model(find_base("./base", tmp_path)))


def test_beside_the_weights_of_a_base(bomb: bytes, mark: Path, tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    for name in ("pytorch_model.bin", "training_args.bin", "optimizer.pt", "tokenizer.pkl"):
        (base.folder / name).write_bytes(bomb)
    load_model(base)
    load_tokenizer(base)
    assert not mark.exists()


def test_code_that_a_base_brings_along(mark: Path, tmp_path: Path) -> None:
    base = write_base(tmp_path / "base")
    (base.folder / "evil.py").write_text(_EVIL_CODE.format(mark=str(mark)))
    names = ("AutoConfig", "AutoModel", "AutoModelForCausalLM", "AutoTokenizer")
    for file in ("config.json", "tokenizer_config.json"):
        content = json.loads((base.folder / file).read_bytes())
        content["auto_map"] = dict.fromkeys(names, "evil.Evil")
        (base.folder / file).write_text(json.dumps(content))
    load_model(base)
    load_tokenizer(base)
    shutil.copytree(base.folder, tmp_path / "unknown")
    config = tmp_path / "unknown" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_bytes()) | {"model_type": "evil"}))
    assert_harmless(mark, lambda: load_model(Base("./unknown", config.parent)))


def test_in_a_checkpoint_with_the_right_digest(bomb: bytes, mark: Path, tmp_path: Path) -> None:
    checkpoints = CheckpointFolder(tmp_path / "checkpoint")
    checkpoints.save(Progress(1, 64, 0.1, 4, 2), {})
    folder = tmp_path / "checkpoint" / "000001"
    (folder / "tensors.safetensors").write_bytes(bomb)
    state = json.loads((folder / "state.json").read_bytes())
    del state["state_sha256"]  # as in the files of earlier versions
    state["sha256"] = hashlib.sha256(bomb).hexdigest()
    (folder / "state.json").write_text(json.dumps(state))
    assert_harmless(mark, checkpoints.load)


def test_in_a_bank(mark: Path, tmp_path: Path) -> None:
    path = tmp_path / "bank.npz"
    with path.open("wb") as file:
        np.savez(file, about=np.array([Bomb(mark)], dtype=object))
    assert_harmless(mark, lambda: read_bank(path))


@pytest.mark.parametrize("name", ["run.csv", "trainer_state.json", "run.log", "run.pkl"])
def test_as_a_log(bomb: bytes, mark: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(bomb)
    assert_harmless(mark, lambda: gather(Request(tmp_path / name)))


@pytest.mark.parametrize("name", ["training_args.bin", "config.py", "config.json"])
def test_as_a_configuration(bomb: bytes, mark: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "run.csv").write_text("step,loss\n1,3.0\n2,2.9\n3,2.8\n")
    (tmp_path / name).write_bytes(bomb)
    request = Request(tmp_path / "run.csv", config=(str(tmp_path / name),))
    assert_harmless(mark, lambda: gather(request))


def test_among_checkpoints_of_which_only_names_are_read(
    bomb: bytes, mark: Path, tmp_path: Path
) -> None:
    (tmp_path / "run.csv").write_text("step,loss\n1,3.0\n2,2.9\n3,2.8\n")
    folder = tmp_path / "checkpoint-2"
    folder.mkdir()
    for name in ("pytorch_model.bin", "optimizer.pt", "rng_state.pth"):
        (folder / name).write_bytes(bomb)
    gather(Request(tmp_path / "run.csv", checkpoints=tmp_path))
    assert not mark.exists()


@pytest.mark.parametrize("name", ["text.md", "text.jsonl", "text.txt", "text.pkl"])
def test_as_a_corpus(bomb: bytes, mark: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(bomb)
    assert_harmless(mark, lambda: read_corpus(f"./{name}", tmp_path))

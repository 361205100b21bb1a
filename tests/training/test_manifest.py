"""Manifests: what they say of a run, and how they say it changed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sweeper.errors import CheckpointError
from sweeper.training.fingerprints import take_fingerprints
from sweeper.training.manifest import (
    Fingerprints,
    Manifest,
    RunResult,
    code_fingerprint,
    fingerprint_differences,
    hash_files,
    moved,
    read_manifest,
    write_manifest,
)
from sweeper.training.trial import plan_run
from sweeper.training.workbench import Workbench
from tests import tiny

RESULT = RunResult(
    stop_reason="completed",
    evidence="the whole budget was trained",
    val_loss=0.1 + 0.2,
    tokens=992,
    seconds=1.5,
    micro_batch=2,
    notes=["out of memory"],
    last_good_step=None,
    adapter_sha256={"adapter_model.safetensors": "00ff"},
)


@pytest.fixture
def manifest(bench: Workbench, ground_folder: Path) -> Manifest:
    plan = plan_run(bench, tiny.recipe(precision="auto"), 1_000, ground_folder / "trials" / "7")
    return Manifest(trial=7, plan=plan, fingerprints=take_fingerprints(bench, 3), result=RESULT)


def test_round_trip_is_exact(manifest: Manifest, tmp_path: Path) -> None:
    write_manifest(tmp_path / "manifest.json", manifest)
    assert read_manifest(tmp_path / "manifest.json") == manifest
    unfinished = manifest.model_copy(update={"result": None, "trial": None})
    write_manifest(tmp_path / "manifest.json", unfinished)
    assert read_manifest(tmp_path / "manifest.json") == unfinished


def test_plan_has_paths_seen_from_its_folder_and_a_resolved_precision(
    manifest: Manifest, ground_folder: Path
) -> None:
    plan = manifest.plan
    assert (plan.model, plan.data.train) == ("../../base", "../../qa.md")
    assert plan.hyperparameters.precision == "fp32"
    assert (plan.device, plan.threads) == ("cpu", 1)
    folder = ground_folder / "trials" / "7"
    folder.mkdir(parents=True, exist_ok=True)
    ground = plan.ground(folder)
    assert (folder / ground.data.train).resolve() == (ground_folder / "qa.md").resolve()
    assert ground_folder.as_posix() not in manifest.model_dump_json()


def test_moved_sees_paths_from_the_new_folder(tmp_path: Path) -> None:
    (tmp_path / "study").mkdir()
    (tmp_path / "study" / "qa.md").write_text("text")
    (tmp_path / "base").mkdir()
    old = tmp_path / "study"
    assert moved("qa.md", old, tmp_path / "study" / "runs" / "0") == "../../qa.md"
    assert moved("./qa.md", old, old) == "./qa.md"
    assert moved("qa.md", old, tmp_path) == "./study/qa.md"
    assert moved("../base", old, tmp_path) == "./base"
    assert moved(str(tmp_path / "base"), old, old) == "../base"


@pytest.mark.parametrize("source", ["builtin:tiny", "gpt2", "openai-community/gpt2", "./missing"])
def test_moved_leaves_names_that_are_no_path_here(tmp_path: Path, source: str) -> None:
    assert moved(source, tmp_path, tmp_path / "runs") == source


def test_missing_manifest(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no manifest there"):
        read_manifest(tmp_path / "manifest.json")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\x00", b'{"format": 1}'])
def test_damaged_manifest(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a manifest that this version reads"):
        read_manifest(path)


@pytest.mark.parametrize(
    ("keys", "value", "named"),
    [
        (("format",), 2, "format"),
        (("more",), 1, "more"),
        (("plan", "tokens"), "many", "plan.tokens"),
        (("plan", "hyperparameters", "rank"), 0, "plan.hyperparameters"),
    ],
)
def test_manifest_of_another_make_names_the_place(
    manifest: Manifest, tmp_path: Path, keys: tuple[str, ...], value: object, named: str
) -> None:
    content = json.loads(manifest.model_dump_json())
    place = content
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    (tmp_path / "manifest.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=rf"\({named}"):
        read_manifest(tmp_path / "manifest.json")


def changed(fingerprints: Fingerprints, **changes: object) -> list[str]:
    return fingerprint_differences(fingerprints, fingerprints.model_copy(update=changes))


def test_differences_name_what_changed(manifest: Manifest) -> None:
    one = manifest.fingerprints
    assert changed(one) == []
    assert changed(one, corpus="f" * 64) == [f"corpus: {one.corpus[:12]} -> ffffffffffff"]
    assert changed(one, python="3.99.0") == [f"python: {one.python} -> 3.99.0"]
    newer = {**one.dependencies, "torch": "99.0"}
    assert changed(one, dependencies=newer) == [f"torch: {one.dependencies['torch']} -> 99.0"]
    fewer = {k: v for k, v in one.dependencies.items() if k != "peft"}
    assert changed(one, dependencies=fewer) == [f"peft: {one.dependencies['peft']} -> none"]
    both = changed(one, hardware="abacus", base="0" * 64)
    assert [line.split(":")[0] for line in both] == ["base", "hardware"]


def test_stream_fingerprint_follows_the_seed(bench: Workbench) -> None:
    one, other = take_fingerprints(bench, 1), take_fingerprints(bench, 2)
    assert [d.split(":")[0] for d in fingerprint_differences(one, other)] == ["stream"]
    assert one.code == code_fingerprint()


def test_hash_files_sees_files_by_name_and_content(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"abc")
    (tmp_path / "a").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert list(hash_files(tmp_path).items()) == [("a", empty), ("b", abc)]

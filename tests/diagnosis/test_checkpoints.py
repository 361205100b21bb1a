"""A checkpoint's step is told by its name."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sweeper.diagnosis.checkpoints import find_checkpoints, step_of
from sweeper.errors import UsageError


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("checkpoint_gpt2_notes_v2_step001500_11222025_112739.pt", 1500),
        ("checkpoint-1500", 1500),
        ("checkpoint-1500-merged", 1500),
        ("step_1500.safetensors", 1500),
        ("step-1500-val_loss=6.74.ckpt", 1500),
        ("gpt2-step1500-loss6.65.pt", 1500),
        ("ckpt-1500.pt", 1500),
        ("model_1500.pt", 1500),
        ("epoch=3-step=1500.ckpt", 1500),
        ("epoch=3-step=1500-v1.ckpt", 1500),
        ("iter_0001500", 1500),
        ("model-iter1500.tar.gz", 1500),
        ("global_step1500", 1500),
        ("0001500.pt", 1500),
        ("1500", 1500),
        ("model_step_0.pt", 0),
        ("best.pt", None),
        ("ckpt.pt", None),
        ("epoch_3.pt", None),
        ("20251122.pt", None),
        ("checkpoint_11222025.pt", None),
        ("pytorch_model-00001-of-00002.bin", None),
        ("checkpoint_run_11222025_112739.pt", None),
    ],
)
def test_the_step_of_a_name(name: str, step: int | None) -> None:
    assert step_of(name) == step


@settings(derandomize=True, deadline=None)
@given(st.integers(0, 10**9 - 1), st.integers(0, 12))
def test_leading_zeros_and_a_date_change_no_step(step: int, width: int) -> None:
    assert step_of(f"ckpt_step{step:0{width}d}_20240131_235959.pt") == step


def test_a_folder_is_listed_by_step_and_the_rest_is_told_apart(tmp_path: Path) -> None:
    for name in ("step_900.pt", "step_1000.pt", "step_900.safetensors", "best.pt", "log.csv"):
        (tmp_path / name).write_bytes(b"never read")
    for name in ("checkpoint-500", "plots", ".hidden-700"):
        (tmp_path / name).mkdir()

    found = find_checkpoints(tmp_path)

    assert found.steps == (
        (500, "checkpoint-500"),
        (900, "step_900.pt"),
        (900, "step_900.safetensors"),
        (1000, "step_1000.pt"),
    )
    assert found.without_step == ("best.pt",)


def test_an_empty_folder_has_none(tmp_path: Path) -> None:
    assert find_checkpoints(tmp_path).steps == ()


@pytest.mark.parametrize("name", ["missing", "file.pt"])
def test_what_is_no_folder_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file.pt").write_bytes(b"")
    with pytest.raises(UsageError, match=rf"--checkpoints .*{name}: cannot be listed"):
        find_checkpoints(tmp_path / name)

"""Tensors on disk: names, shapes and samples, in every format of plain floats."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sweeper.errors import BaseError
from sweeper.models.weights import list_tensors


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_values_are_those_that_were_saved(tmp_path: Path, dtype: torch.dtype) -> None:
    values = torch.linspace(-2, 3, 60).reshape(20, 3).to(dtype)
    save_file({"a": values, "b": torch.ones(7, dtype=dtype)}, tmp_path / "model.safetensors")

    tensors = list_tensors(tmp_path)

    assert {name: tensor.shape for name, tensor in tensors.items()} == {"a": (20, 3), "b": (7,)}
    sample = tensors["a"].sample()
    assert sample is not None
    np.testing.assert_array_equal(sample, values.double().flatten().numpy())


def test_a_large_tensor_is_sampled_by_rows(tmp_path: Path) -> None:
    values = torch.arange(10_000.0).reshape(5_000, 2)
    save_file({"a": values}, tmp_path / "model.safetensors")

    sample = list_tensors(tmp_path)["a"].sample()

    assert sample is not None
    assert 512 <= sample.size < 1_200
    np.testing.assert_array_equal(np.diff(sample[::2]), 2 * (5_000 // 256))


def test_shards_are_one_model_and_whole_numbers_have_no_sample(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "model-00001-of-00002.safetensors")
    save_file({"b": torch.zeros(2).int()}, tmp_path / "model-00002-of-00002.safetensors")

    tensors = list_tensors(tmp_path)

    assert sorted(tensors) == ["a", "b"]
    assert tensors["b"].sample() is None


def test_a_folder_without_weights_has_no_tensors(tmp_path: Path) -> None:
    assert list_tensors(tmp_path) == {}


def header(entry: object) -> bytes:
    text = json.dumps({"a": entry}).encode()
    return len(text).to_bytes(8, "little") + text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 20,
        (50).to_bytes(8, "little") + b"{}",
        header({"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}) + b"short",
        header({"dtype": "F32", "shape": [4]}),
        header(3),
        (100_000).to_bytes(8, "little") + b"[" * 100_000,
    ],
)
def test_damage_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(BaseError, match=r"model\.safetensors is not a whole safetensors file"):
        list_tensors(tmp_path)

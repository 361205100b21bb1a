"""GPT-2's weights as plain tensors, and the bases that are no plain GPT-2."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from sweeper.errors import BaseError
from sweeper.models.base import Base, load_model
from sweeper.models.trunk import MODULES, Site, is_plain_gpt2, read_trunk, sites_of


def edit_config(base: Base, **changes: Any) -> Base:
    path = base.folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return Base(base.source, base.folder)


def edit_weights(base: Base, **changes: torch.Tensor | None) -> None:
    path = base.folder / "model.safetensors"
    tensors = load_file(path)
    tensors |= {name.replace("__", "."): t for name, t in changes.items() if t is not None}
    gone = [name.replace("__", ".") for name, tensor in changes.items() if tensor is None]
    save_file({n: t for n, t in tensors.items() if n not in gone}, path)


def test_every_weight_is_that_of_the_model(base: Base) -> None:
    trunk, model = read_trunk(base), load_model(base)
    weights = dict(model.named_parameters())
    for site, linear in trunk.linears.items():
        assert torch.equal(linear.weight_IO, weights[f"{site.name}.weight"])
        assert torch.equal(linear.bias_O, weights[f"{site.name}.bias"])
    assert torch.equal(trunk.token_embedding_VD, weights["transformer.wte.weight"])
    assert torch.equal(trunk.last_norm.bias_D, weights["transformer.ln_f.bias"])
    assert trunk.head_VD is trunk.token_embedding_VD
    assert (trunk.num_layers, trunk.width, trunk.num_heads) == (2, 32, 2)


def test_files_of_the_bare_model_lack_the_prefix(base: Base) -> None:
    expected = read_trunk(base)
    path = base.folder / "model.safetensors"
    bare = {name.removeprefix("transformer."): t for name, t in load_file(path).items()}
    bare["h.0.attn.bias"] = torch.ones(1, 1, 4, 4)  # old files keep the causal mask
    save_file(bare, path)
    found = read_trunk(base)
    for site in expected.linears:
        assert torch.equal(found.linears[site].weight_IO, expected.linears[site].weight_IO)


def test_half_precision_files_are_read_as_fp32(base: Base) -> None:
    path = base.folder / "model.safetensors"
    save_file({name: tensor.half() for name, tensor in load_file(path).items()}, path)
    assert read_trunk(base).head_VD.dtype == torch.float32


def test_untied_head_is_its_own(base: Base) -> None:
    edit_weights(base, lm_head__weight=torch.ones(320, 32))
    trunk = read_trunk(edit_config(base, tie_word_embeddings=False))
    assert float(trunk.head_VD.mean()) == 1.0
    assert float(trunk.token_embedding_VD.mean()) != 1.0


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("transformer__h__1__mlp__c_fc__weight", None, "lacks weights .*h.1.mlp.c_fc.weight"),
        ("transformer__wpe__weight", torch.zeros(3, 32), r"wpe.weight has the shape \(3, 32\)"),
    ],
)
def test_damaged_weights_are_named(
    base: Base, name: str, tensor: torch.Tensor | None, message: str
) -> None:
    edit_weights(base, **{name: tensor})
    with pytest.raises(BaseError, match=message):
        read_trunk(base)


def test_file_that_is_no_safetensors_is_refused(base: Base) -> None:
    (base.folder / "model.safetensors").write_bytes(b"\x80\x04K.")
    with pytest.raises(BaseError, match="cannot be loaded"):
        read_trunk(base)


@pytest.mark.parametrize(
    "changes",
    [
        {"model_type": "llama"},
        {"activation_function": "relu"},
        {"scale_attn_by_inverse_layer_idx": True},
        {"scale_attn_weights": False},
        {"add_cross_attention": True},
    ],
)
def test_other_models_are_told_apart(base: Base, changes: dict[str, Any]) -> None:
    assert is_plain_gpt2(base.config)
    other = edit_config(base, **changes)
    assert not is_plain_gpt2(other.config)
    with pytest.raises(BaseError, match="allowed: engine: auto or peft"):
        read_trunk(other)


def test_names_stand_for_all_modules_that_end_with_them() -> None:
    everything = tuple(Site(layer, module) for layer in range(2) for module in MODULES)
    assert sites_of(2, "c_attn+c_proj+c_fc") == everything
    assert sites_of(2, "mlp.c_proj") == (Site(0, "mlp.c_proj"), Site(1, "mlp.c_proj"))
    assert sites_of(2, "h.1.attn.c_attn+c_fc") == (
        Site(0, "mlp.c_fc"),
        Site(1, "attn.c_attn"),
        Site(1, "mlp.c_fc"),
    )


@pytest.mark.parametrize("names", ["lm_head", "c_attn+wte", "attn", "proj", "h.2.mlp.c_fc", "ln_1"])
def test_names_of_nothing_that_can_be_adapted(names: str) -> None:
    assert sites_of(2, names) is None


def test_a_folder_without_weights_is_refused(tmp_path: Path, base: Base) -> None:
    (base.folder / "model.safetensors").unlink()
    with pytest.raises(BaseError, match="lacks weights"):
        read_trunk(base)

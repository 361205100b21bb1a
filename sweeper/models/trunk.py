"""GPT-2's frozen weights as plain tensors, read without building a model.

Shapes: I inputs and O outputs of a linear layer, D width, V vocabulary, P positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from sweeper.errors import BaseError
from sweeper.models.base import Base

if TYPE_CHECKING:  # torch costs seconds: import where used
    import torch

MODULES = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")  # in the order of the forward
_TANH_GELUS = ("gelu_new", "gelu_pytorch_tanh", "gelu_fast")
_PREFIX = "transformer."


class Site(NamedTuple):
    """A linear layer that may get an adapter.

    Attributes:
        layer: Index of its transformer block.
        module: One of `MODULES`.
    """

    layer: int
    module: str

    @property
    def name(self) -> str:
        """Its name in transformers' GPT-2."""
        return f"{_PREFIX}h.{self.layer}.{self.module}"


class Linear(NamedTuple):
    """A linear layer; the weight as GPT-2 keeps it, `y = x @ weight_IO + bias_O`."""

    weight_IO: torch.Tensor
    bias_O: torch.Tensor


class Norm(NamedTuple):
    """A layer norm's gain and offset."""

    weight_D: torch.Tensor
    bias_D: torch.Tensor


@dataclass(frozen=True)
class Trunk:
    """All weights of a GPT-2.

    Attributes:
        num_heads: Attention heads of a layer.
        norm_epsilon: Added to the variance in every layer norm.
        token_embedding_VD: `wte`.
        position_embedding_PD: `wpe`.
        linears: Every linear layer by its site.
        norms: The two norms of every layer, before attention and before the MLP.
        last_norm: The one before the head.
        head_VD: The head; the token embedding itself where they are tied.
    """

    num_heads: int
    norm_epsilon: float
    token_embedding_VD: torch.Tensor
    position_embedding_PD: torch.Tensor
    linears: dict[Site, Linear]
    norms: tuple[tuple[Norm, Norm], ...]
    last_norm: Norm
    head_VD: torch.Tensor

    @property
    def num_layers(self) -> int:
        """Transformer blocks."""
        return len(self.norms)

    @property
    def width(self) -> int:
        """D, the length of a token's hidden state."""
        return self.token_embedding_VD.shape[1]

    @property
    def shapes(self) -> dict[Site, tuple[int, int]]:
        """Inputs and outputs of every linear layer."""
        weights = ((site, linear.weight_IO) for site, linear in self.linears.items())
        return {site: (weight_IO.shape[0], weight_IO.shape[1]) for site, weight_IO in weights}


def is_plain_gpt2(config: dict[str, Any]) -> bool:
    """Whether a model's `config.json` describes a GPT-2 that differs from the first only in size.

    The rest (other activations, attention scaled by the layer, cross-attention) is computed by
    transformers alone.
    """
    return (
        config.get("model_type") == "gpt2"
        and config.get("activation_function", "gelu_new") in _TANH_GELUS
        and config.get("scale_attn_weights", True)
        and not config.get("scale_attn_by_inverse_layer_idx", False)
        and not config.get("add_cross_attention", False)
        and not config.get("quantization_config")
    )


def sites_of(num_layers: int, target_modules: str) -> tuple[Site, ...] | None:
    """The linear layers that a recipe adapts, in the order of the forward pass.

    A name stands for all modules whose full name ends with it, as in peft.

    Args:
        num_layers: Transformer blocks of the base.
        target_modules: Names joined by `+`.

    Returns:
        None where one of the names stands for none of GPT-2's linear layers in its blocks.
    """
    names = target_modules.split("+")
    everywhere = [Site(layer, module) for layer in range(num_layers) for module in MODULES]
    found = {
        name: {site for site in everywhere if f".{site.name}".endswith(f".{name}")}
        for name in names
    }
    if not all(found.values()):
        return None
    return tuple(site for site in everywhere if any(site in sites for sites in found.values()))


def read_trunk(base: Base) -> Trunk:
    """Read a plain GPT-2's weights, in fp32 on the CPU.

    Raises:
        BaseError: It is another model, or weights are missing, of another shape, or damaged.
    """
    if not is_plain_gpt2(base.config):
        raise BaseError(
            f"engine: packed computes GPT-2 in its first form alone, which {base.source} is not "
            "(allowed: engine: auto or peft)"
        )
    tensors = _Tensors(base)
    config = base.config
    width, num_layers = int(config["n_embd"]), int(config["n_layer"])
    inner = int(config.get("n_inner") or 4 * width)
    outputs = {"attn.c_attn": 3 * width, "attn.c_proj": width, "mlp.c_fc": inner}
    linears = {}
    for site in (Site(layer, module) for layer in range(num_layers) for module in MODULES):
        num_inputs = inner if site.module == "mlp.c_proj" else width
        num_outputs = outputs.get(site.module, width)
        linears[site] = Linear(
            tensors.take(f"{site.name}.weight", num_inputs, num_outputs),
            tensors.take(f"{site.name}.bias", num_outputs),
        )

    def norm(name: str) -> Norm:
        return Norm(
            tensors.take(f"{_PREFIX}{name}.weight", width),
            tensors.take(f"{_PREFIX}{name}.bias", width),
        )

    embedding_VD = tensors.take(f"{_PREFIX}wte.weight", int(config["vocab_size"]), width)
    tied = config.get("tie_word_embeddings", True)
    return Trunk(
        num_heads=int(config["n_head"]),
        norm_epsilon=float(config.get("layer_norm_epsilon", 1e-5)),
        token_embedding_VD=embedding_VD,
        position_embedding_PD=tensors.take(
            f"{_PREFIX}wpe.weight", int(config["n_positions"]), width
        ),
        linears=linears,
        norms=tuple((norm(f"h.{n}.ln_1"), norm(f"h.{n}.ln_2")) for n in range(num_layers)),
        last_norm=norm("ln_f"),
        head_VD=embedding_VD
        if tied
        else tensors.take("lm_head.weight", int(config["vocab_size"]), width),
    )


class _Tensors:
    """The tensors of a base's safetensors files, by transformers' names."""

    def __init__(self, base: Base) -> None:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        self._base = base
        self._tensors: dict[str, torch.Tensor] = {}
        try:
            for path in sorted(base.folder.glob("*.safetensors")):
                self._tensors |= load_file(path)
        except (OSError, ValueError, SafetensorError) as error:
            raise BaseError(f"model: {base.source} cannot be loaded: {error}") from error

    def take(self, name: str, *shape: int) -> torch.Tensor:
        """A tensor in fp32; files that were saved from the bare model lack the prefix."""
        tensor = self._tensors.get(name, self._tensors.get(name.removeprefix(_PREFIX)))
        if tensor is None:
            raise BaseError(
                f"model: {self._base.source} lacks weights that its configuration asks for: {name}"
            )
        if tuple(tensor.shape) != shape:
            raise BaseError(
                f"model: {self._base.source} cannot be loaded: {name} has the shape "
                f"{tuple(tensor.shape)}, and its configuration asks for {shape}"
            )
        return tensor.float().contiguous()

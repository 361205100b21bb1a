"""What a base on disk says about itself, read without torch and without loading it."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sweeper.data import read_corpus
from sweeper.diagnosis.case import ModelFacts
from sweeper.errors import BaseError
from sweeper.models.bare_tokenizer import has_tokenizer, read_bare_tokenizer
from sweeper.models.base import is_builtin, local_folder
from sweeper.models.embedded import GENERAL_TEXT, embedded_folder
from sweeper.models.tiny import VOCABULARY, WIDTH
from sweeper.models.weights import StoredTensor, list_tensors

# GPT-2's own, and that of most configurations which do not say.
_USUAL_RANGE = 0.02
# A sample of 200,000 values tells a standard deviation to 0.2 %.
_STD_TOLERANCE = 0.03
_SMALL_SAMPLE = 20_000
_EMBEDDING = re.compile(r"(?:^|\.)(?:wte|embed_tokens|embed_in|word_embeddings|tok_embeddings)\.")
_LAYER = re.compile(r"^(.*?\b(?:h|layers|blocks)\.)(\d+)\.(.+)$")
_NORM = re.compile(r"(?:^|[._])(?:ln|norm|layernorm|rmsnorm)\w*\.|norm\w*\.|ln_\w+\.", re.I)
_RESIDUAL = re.compile(r"c_proj\.weight$")
_GPT2_LAYER = (
    *(f"{norm}.{part}" for norm in ("ln_1", "ln_2") for part in ("weight", "bias")),
    *(f"attn.{name}.{part}" for name in ("c_attn", "c_proj") for part in ("weight", "bias")),
    *(f"mlp.{name}.{part}" for name in ("c_fc", "c_proj") for part in ("weight", "bias")),
)


def base_folder(source: str, folder: Path) -> Path:
    """Where a base lies on this machine; nothing is ever downloaded or made.

    Args:
        source: A directory, `builtin:tiny`, `builtin:untrained`, or a hub name.
        folder: What a relative directory is relative to.

    Raises:
        BaseError: It is not there.
    """
    if is_builtin(source):
        found: Path | None = embedded_folder(source, read_corpus(GENERAL_TEXT, folder).fingerprint)
        remedy = f"make it with `sweeper train --model {source}`"
    else:
        found = local_folder(source, folder)
        remedy = f"download it with `hf download {source}`, or name a directory"
    if found is None or not found.is_dir():
        raise BaseError(f"--model {source}: it is not on this machine; {remedy}")
    return found


def read_model_facts(source: str, folder: Path) -> ModelFacts:
    """Look at a base: its configuration, its tokenizer's size, and a sample of its weights.

    Args:
        source: As `base_folder` takes it.
        folder: What a relative directory is relative to.

    Raises:
        BaseError: It is not there, or it is no model.
    """
    if is_builtin(source) and not _is_made(source, folder):
        return _embedded_facts(source)
    place = base_folder(source, folder)
    config = read_model_config(source, place)
    tensors = list_tensors(place)
    embedding = _embedding(tensors)
    vocabulary = config.get("vocab_size") or (embedding.shape[0] if embedding else None)
    if not isinstance(vocabulary, int) or vocabulary < 1:
        raise BaseError(
            f"--model {source}: config.json has no vocab_size, and no embedding was found among "
            f"{len(tensors)} tensors; name the folder of a causal language model"
        )
    untrained, evidence = _judge_weights(tensors, embedding, config)
    return ModelFacts(
        source=source,
        vocab_size=vocabulary,
        hidden_size=_whole(config, "n_embd", "hidden_size", "d_model"),
        initializer_range=_range(config),
        tokenizer_size=read_bare_tokenizer(place, source).size if has_tokenizer(place) else None,
        looks_untrained=untrained,
        weights_evidence=evidence,
        missing=tuple(_missing(tensors, config)) if tensors else (),
    )


def _is_made(source: str, folder: Path) -> bool:
    return embedded_folder(source, read_corpus(GENERAL_TEXT, folder).fingerprint).is_dir()


def _embedded_facts(source: str) -> ModelFacts:
    """An embedded base has one shape, whether it has been made on this machine or not."""
    is_untrained = source == "builtin:untrained"
    evidence = (
        "its weights are drawn afresh, by definition"
        if is_untrained
        else "it has not been made on this machine yet, so its weights could not be read"
    )
    return ModelFacts(
        source, VOCABULARY, WIDTH, _USUAL_RANGE, VOCABULARY, is_untrained or None, evidence
    )


def read_model_config(source: str, place: Path) -> Mapping[str, Any]:
    """A base's `config.json`.

    Raises:
        BaseError: There is none, or it is not JSON.
    """
    path = place / "config.json"
    if not path.is_file():
        adapter = place / "adapter_config.json"
        hint = (
            "this is an adapter, name the base that it was trained on"
            if adapter.is_file()
            else "save a model there with model.save_pretrained(...)"
        )
        raise BaseError(f"--model {source}: no config.json in it; {hint}")
    try:
        config = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BaseError(f"--model {source}: config.json is not JSON ({error})") from error
    if not isinstance(config, dict):
        raise BaseError(f"--model {source}: config.json is no mapping of keys to values")
    text: object = config.get("text_config")  # a model of several kinds of input
    return {**text, **config} if isinstance(text, dict) else config


def _whole(config: Mapping[str, Any], *names: str) -> int | None:
    values = (config.get(name) for name in names)
    return next((value for value in values if isinstance(value, int)), None)


def _range(config: Mapping[str, Any]) -> float | None:
    value = config.get("initializer_range")
    return float(value) if isinstance(value, (int, float)) else None


def _embedding(tensors: Mapping[str, StoredTensor]) -> StoredTensor | None:
    found = (t for name, t in tensors.items() if _EMBEDDING.search(name) and len(t.shape) == 2)
    return next(found, None)


def _judge_weights(
    tensors: Mapping[str, StoredTensor],
    embedding: StoredTensor | None,
    config: Mapping[str, Any],
) -> tuple[bool | None, str]:
    """Whether the weights look freshly drawn, and why.

    Fresh: the embedding has the standard deviation that the configuration draws it with (or
    PyTorch's own, 1), and every normalisation still multiplies by exactly 1 (or 0, where weights
    are kept as a difference from 1) and adds exactly 0. Training changes the norms with its first
    step unless they are frozen, so both together are hard to come by otherwise.
    """
    values = embedding.sample() if embedding else None
    if values is None:
        return None, "no embedding in safetensors was found, so the weights could not be judged"
    std, expected = float(values.std()), _range(config) or _USUAL_RANGE
    tolerance = _STD_TOLERANCE if values.size >= _SMALL_SAMPLE else 4 / math.sqrt(2 * values.size)
    is_drawn = any(abs(std / wanted - 1) <= tolerance for wanted in (expected, 1.0))
    num_norms, num_moved = _count_norms(tensors)
    norms = (
        f"{num_moved} of {num_norms} normalisation tensors have moved from their start"
        if num_norms
        else "no normalisation was found"
    )
    evidence = (
        f"the embedding's standard deviation is {std:.4f} where fresh weights have "
        f"{expected:g}; {norms}{_residual_evidence(tensors, expected, config)}"
    )
    if not num_norms:
        return (None if is_drawn else False), evidence
    return is_drawn and num_moved == 0, evidence


def _count_norms(tensors: Mapping[str, StoredTensor]) -> tuple[int, int]:
    """Normalisation tensors, and how many of them are not as they were made."""
    num_norms = num_moved = 0
    for name, tensor in tensors.items():
        if len(tensor.shape) != 1 or not _NORM.search(name):
            continue
        values = tensor.sample()
        if values is None:
            continue
        num_norms += 1
        starts = (0.0,) if name.endswith("bias") else (1.0, 0.0)
        num_moved += not any((values == start).all() for start in starts)
    return num_norms, num_moved


def _residual_evidence(
    tensors: Mapping[str, StoredTensor], expected: float, config: Mapping[str, Any]
) -> str:
    """GPT-2 draws its residual projections narrower, by 1 / sqrt(2 layers)."""
    layers = _whole(config, "n_layer")
    samples = [t.sample() for name, t in tensors.items() if _RESIDUAL.search(name)]
    stds = [float(values.std()) for values in samples if values is not None]
    if not layers or not stds:
        return ""
    return (
        f"; the residual projections' is {np.median(stds):.4f} where fresh ones have "
        f"{expected / math.sqrt(2 * layers):.4f}"
    )


def _missing(tensors: Mapping[str, StoredTensor], config: Mapping[str, Any]) -> Iterator[str]:
    """Tensors that the configuration implies: whole layers, and parts that most layers have."""
    layers = [match for name in tensors if (match := _LAYER.match(name))]
    num_layers = _whole(config, "n_layer", "num_hidden_layers", "num_layers") or 0
    is_gpt2 = config.get("model_type") == "gpt2"
    prefix = layers[0][1] if layers else "h."
    there = {(int(match[2]), match[3]) for match in layers if match[1] == prefix}
    counts = Counter(part for _, part in there)
    common = {part for part, count in counts.items() if 2 * count > len({n for n, _ in there})}
    parts = set(_GPT2_LAYER) if is_gpt2 else common
    for layer in range(num_layers):
        for part in sorted(parts):
            if (layer, part) not in there:
                yield f"{prefix}{layer}.{part}"
    if _embedding(tensors) is None:
        yield "wte.weight" if is_gpt2 else "the embedding"

"""The frozen pretrained model: where it lies, what it is, and how it is loaded.

A base is always a folder in Hugging Face format. Weights are read from
safetensors alone, and code that a model brings along never runs.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeper.errors import BaseError
from sweeper.models.bare_tokenizer import read_plain_tokenizer

if TYPE_CHECKING:  # torch and transformers cost seconds: import where used
    from transformers import PreTrainedModel

_HUB_FILES = (
    "config.json",
    "generation_config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
)
_FINGERPRINTED = ("config.json", "tokenizer.json", "vocab.json", "merges.txt", "tokenizer.model")
_TOKENIZERS = ("tokenizer.json", "vocab.json", "tokenizer.model")


@dataclass(frozen=True)
class Base:
    """A base model on disk.

    Attributes:
        source: As the study names it: `builtin:tiny`, a directory, a hub name.
        folder: Where its files lie on this machine.
    """

    source: str
    folder: Path

    @cached_property
    def config(self) -> dict[str, Any]:
        """The model's `config.json`."""
        config: dict[str, Any] = json.loads((self.folder / "config.json").read_text("utf-8"))
        return config

    @property
    def max_block_size(self) -> int | None:
        """Longest block that the positions allow, in tokens; None where any will do."""
        limit = self.config.get("n_positions") or self.config.get("max_position_embeddings")
        return int(limit) if limit else None

    @property
    def num_parameters(self) -> int:
        """Number of weights in the safetensors files, tied ones counted once."""
        from safetensors import safe_open

        total = 0
        for path in sorted(self.folder.glob("*.safetensors")):
            with safe_open(path, framework="numpy") as tensors:
                for name in tensors.keys():  # noqa: SIM118 (not a dict)
                    size = 1
                    for length in tensors.get_slice(name).get_shape():
                        size *= length
                    total += size
        return total

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over configuration, tokenizer and weights."""
        digest = hashlib.sha256()
        names = [name for name in _FINGERPRINTED if (self.folder / name).is_file()]
        weights = sorted(path.name for path in self.folder.glob("*.safetensors"))
        for name in [*names, *weights]:
            digest.update(f"{name}\0".encode())
            with (self.folder / name).open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()


def is_builtin(source: str) -> bool:
    """Whether the source names a base that sweeper makes itself."""
    return source.startswith("builtin:")


def find_base(source: str, study_folder: Path) -> Base:
    """Find a base that is not built in: a directory, or a hub name.

    A name is taken for a directory if one is there (seen from the study file's
    folder) or if it is written like a path; else it is looked up in the
    Hugging Face cache, and downloaded where it is missing.

    Raises:
        BaseError: Nothing is there, or what is there is not a usable model.
    """
    folder = local_folder(source, study_folder)
    return _checked(Base(source, _download(source) if folder is None else folder))


def local_folder(source: str, study_folder: Path) -> Path | None:
    """Where a base that is not built in lies on this machine, or should.

    Returns:
        A directory, which may be missing if the source is written like a path; None for a hub
        name that is not in the cache.

    Raises:
        BaseError: The source can be neither.
    """
    path = study_folder / Path(source).expanduser()
    looks_like_path = source.startswith((".", "/", "~")) or source.endswith("/")
    return path if path.is_dir() or looks_like_path else _hub_folder(source)


def _checked(base: Base) -> Base:
    if not base.folder.is_dir():
        raise BaseError(
            f"model: there is no directory {base.source!r} (allowed: a directory seen from the "
            "study file, a hub name such as gpt2, builtin:tiny)"
        )
    if not (base.folder / "config.json").is_file():
        raise BaseError(
            f"model: {base.source} has no config.json: not a model in Hugging Face format. "
            "Save one there with model.save_pretrained(...) and tokenizer.save_pretrained(...)"
        )
    if not any(base.folder.glob("*.safetensors")):
        raise BaseError(
            f"model: {base.source} has no *.safetensors file; .bin weights are pickles, which "
            "sweeper never opens. Convert them with model.save_pretrained(..., "
            "safe_serialization=True)"
        )
    try:
        known = isinstance(base.config, dict) and isinstance(base.config.get("model_type"), str)
    except ValueError as error:
        raise BaseError(f"model: {base.source}/config.json is not JSON ({error})") from error
    if not known:
        raise BaseError(
            f"model: {base.source}/config.json names no model_type: not a model's configuration. "
            "Save it again with model.save_pretrained(...)"
        )
    return base


def _hub_folder(name: str) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=list(_HUB_FILES), local_files_only=True))
    except HFValidationError as error:
        raise BaseError(
            f"model: {name!r} is neither a directory here nor a possible hub name "
            "(allowed: builtin:tiny, a directory, a hub name such as gpt2)"
        ) from error
    except LocalEntryNotFoundError:
        return None


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download

    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    reason = "HF_HUB_OFFLINE is set"
    if not offline:
        try:
            return Path(snapshot_download(name, allow_patterns=list(_HUB_FILES)))
        except (OSError, RuntimeError, ValueError) as error:
            reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
    raise BaseError(
        f"model: {name} is not in the Hugging Face cache and could not be downloaded ({reason}). "
        f"Next: on a machine with a network run `hf download {name}` and copy the folder here, "
        "then write its path as `model:`; or use `model: builtin:tiny`"
    )


def load_model(base: Base) -> PreTrainedModel:
    """Load the base in fp32 on the CPU, frozen, its own dropout off.

    GPT-2's `gelu_new` is replaced by torch's fused form of the same function.

    Raises:
        BaseError: The weights do not fit the configuration, or are damaged.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForCausalLM

    quiet_transformers()
    try:
        config = AutoConfig.from_pretrained(base.folder, trust_remote_code=False)
        if getattr(config, "activation_function", None) == "gelu_new":
            config.activation_function = "gelu_pytorch_tanh"
        for name in ("attn_pdrop", "embd_pdrop", "resid_pdrop", "attention_dropout"):
            if hasattr(config, name):
                setattr(config, name, 0.0)
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            base.folder,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=True,
            output_loading_info=True,
        )
        model, info = loaded
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise BaseError(f"model: {base.source} cannot be loaded: {first_line}") from error
    if info["missing_keys"] or info["mismatched_keys"]:
        missing = sorted(map(str, [*info["missing_keys"], *info["mismatched_keys"]]))
        raise BaseError(
            f"model: {base.source} lacks weights that its configuration asks for: "
            f"{', '.join(missing[:5])}{' …' if len(missing) > 5 else ''}"
        )
    frozen: PreTrainedModel = model
    frozen.requires_grad_(False)
    return frozen


def quiet_transformers() -> None:
    """No progress bars of transformers: a run shows its own, once."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class BaseTokenizer:
    """A base's tokenizer, as the data floor needs it."""

    tokenizer: Any
    end_of_text_id: int
    vocabulary: int


def load_tokenizer(base: Base) -> BaseTokenizer:
    """Load the tokenizer that belongs to a base.

    Raises:
        BaseError: There is none, it has no end-of-text token, or it makes ids
            that the base has no embedding for.
    """
    # Without any, transformers makes up an empty tokenizer that knows no text at all.
    if not any((base.folder / name).is_file() for name in _TOKENIZERS):
        raise BaseError(
            f"model: {base.source} has no tokenizer (allowed: {', '.join(_TOKENIZERS)}). "
            "Save it beside the weights with tokenizer.save_pretrained(...)"
        )
    plain = read_plain_tokenizer(base.folder, base.source)
    if plain is None or plain.end_of_text_id is None:
        tokenizer, size, end_of_text_id = _tokenizer_of_transformers(base)
    else:
        tokenizer, size, end_of_text_id = plain.tokenizer, plain.size, plain.end_of_text_id
    vocabulary = int(base.config.get("vocab_size", 0))
    if size > vocabulary:
        raise BaseError(
            f"model: the tokenizer of {base.source} makes {size:,} ids, the weights know "
            f"{vocabulary:,}: they do not belong together"
        )
    return BaseTokenizer(tokenizer, end_of_text_id, vocabulary)


def _tokenizer_of_transformers(base: Base) -> tuple[Any, int, int]:
    """A tokenizer of any make, how many ids it makes, and its end of text."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            base.folder, trust_remote_code=False, local_files_only=True
        )
    except (OSError, ValueError, KeyError) as error:
        raise BaseError(
            f"model: {base.source} has no tokenizer that can be loaded ({str(error)[:120]}). "
            "Save it beside the weights with tokenizer.save_pretrained(...)"
        ) from error
    if not tokenizer.is_fast:
        raise BaseError(f"model: {base.source} has no fast tokenizer (tokenizer.json is missing)")
    if tokenizer.eos_token_id is None:
        raise BaseError(f"model: the tokenizer of {base.source} has no end-of-text token (eos)")
    return tokenizer.backend_tokenizer, len(tokenizer), int(tokenizer.eos_token_id)

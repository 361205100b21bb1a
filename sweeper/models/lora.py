"""The adapter: LoRA weights on a frozen base (Hu et al. 2021, arXiv:2106.09685)."""

from __future__ import annotations

import json
import shutil
import threading
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sweeper.errors import BaseError
from sweeper.models.base import Base
from sweeper.study import Hyperparameters

if TYPE_CHECKING:  # torch, transformers and peft cost seconds: import where used
    import torch
    from peft import LoraConfig, PeftModel
    from transformers import PreTrainedModel

# GPT-2's names. Its head shares the token embeddings' weight, and has to go on doing so.
_TRAINED_ALSO = {"embeddings": ("wte", "lm_head"), "norms": ("ln_1", "ln_2", "ln_f")}


def adapter_config(hyperparameters: Hyperparameters) -> LoraConfig:
    """The peft configuration of a recipe."""
    from peft import LoraConfig

    also = [
        module
        for name in filter(None, hyperparameters.train_also.split("+"))
        for module in _TRAINED_ALSO[name]
    ]
    return LoraConfig(
        r=hyperparameters.rank,
        lora_alpha=hyperparameters.alpha,
        lora_dropout=hyperparameters.dropout,
        target_modules=hyperparameters.target_modules.split("+"),
        modules_to_save=also or None,
        bias="none",
        task_type="CAUSAL_LM",
    )


def attach_adapter(
    model: PreTrainedModel, hyperparameters: Hyperparameters, seed: int
) -> PeftModel:
    """Put a fresh adapter on a frozen base.

    The adapter's initial weights depend on the seed and the recipe alone, not on
    what ran before in this process.

    Raises:
        BaseError: The base has no module of a name that the recipe targets. The
            base is as it was.
    """
    import torch
    from peft import get_peft_model

    _check_names(model, hyperparameters)
    config = adapter_config(hyperparameters)
    config.fan_in_fan_out = any(type(m).__name__ == "Conv1D" for m in model.modules())
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        # peft asks transformers 5 by a name that is on its way out
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        # it warns of what _tie_trained_embeddings takes care of
        warnings.filterwarnings("ignore", "Model has `tie_word_embeddings=True`", UserWarning)
        adapted = get_peft_model(model, config)
    _tie_trained_embeddings(adapted)
    return adapted


def _check_names(model: PreTrainedModel, hyperparameters: Hyperparameters) -> None:
    """Refuse what peft would ignore, or find out about with half of the adapters attached."""
    linear = [f".{name}" for name, module in model.named_modules() if _is_linear(module)]
    everything = [f".{name}" for name, _ in model.named_modules()]
    targets = hyperparameters.target_modules.split("+")
    also = adapter_config(hyperparameters).modules_to_save or []
    for key, names, there in (
        ("target_modules", targets, linear),
        ("train_also", also, everything),
    ):
        unknown = [name for name in names if not any(n.endswith(f".{name}") for n in there)]
        if unknown:
            allowed = sorted({name.rsplit(".", 1)[-1] for name in linear})
            raise BaseError(
                f"{key}: {getattr(hyperparameters, key)} does not fit this base: it has no "
                f"{', '.join(unknown)} (allowed as target_modules: {', '.join(allowed)})"
            )


def _tie_trained_embeddings(adapted: PeftModel) -> None:
    """Make the trained copies of embeddings and head one weight, as in the base."""
    model = adapted.base_model.model
    head = getattr(getattr(model, "lm_head", None), "modules_to_save", None)
    if head is not None:
        head["default"].weight = model.get_input_embeddings().modules_to_save["default"].weight


def detach_adapter(adapted: PeftModel) -> PreTrainedModel:
    """Take an adapter off again; the base is what it was before, to the last bit.

    peft leaves the parts that were trained whole in the model: they go too.
    """
    from peft.utils import ModulesToSaveWrapper
    from tqdm import tqdm

    # peft's progress bar, though off, would make a lock for all processes, which a training process
    # leaves behind when it is ended: Python warns of it under the report.
    tqdm.set_lock(threading.RLock())
    originals = {
        name: module.original_module
        for name, module in adapted.base_model.model.named_modules()
        if isinstance(module, ModulesToSaveWrapper)
    }
    model: PreTrainedModel = adapted.unload()
    for name, module in originals.items():
        model.set_submodule(name, module)
    if hasattr(model, "peft_config"):
        del model.peft_config
    model.requires_grad_(False)
    return model


def _is_linear(module: Any) -> bool:
    return type(module).__name__ in {"Linear", "Conv1D"}


def save_adapter(adapted: PeftModel, folder: Path, base: Base) -> None:
    """Write a peft adapter directory that names no path of this machine.

    peft writes the base's absolute path and lists the target modules in the
    order of a set; both are rewritten, so that equal adapters are equal files.
    """
    adapted.save_pretrained(str(folder), safe_serialization=True)
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text("utf-8"))
    config["base_model_name_or_path"] = base.source
    config["target_modules"] = sorted(config["target_modules"])
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")
    (folder / "README.md").unlink(missing_ok=True)  # peft's card names the machine's path


def write_adapter(
    folder: Path,
    base: Base,
    hyperparameters: Hyperparameters,
    weights: Mapping[str, torch.Tensor],
) -> None:
    """Write a GPT-2 adapter as a peft directory, without peft, whose import takes seconds.

    Args:
        folder: Made where it is missing.
        base: What it belongs on.
        hyperparameters: Its recipe.
        weights: By peft's names up to `lora_A` and `lora_B`, in peft's shapes.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"{name}.weight": weight.contiguous() for name, weight in weights.items()}
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {
        "base_model_name_or_path": base.source,
        "bias": "none",
        "fan_in_fan_out": True,  # GPT-2 keeps its weights the other way round
        "inference_mode": True,
        "lora_alpha": hyperparameters.alpha,
        "lora_dropout": hyperparameters.dropout,
        "peft_type": "LORA",
        "r": hyperparameters.rank,
        "target_modules": sorted(hyperparameters.target_modules.split("+")),
        "task_type": "CAUSAL_LM",
    }
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", "utf-8")


def copy_tokenizer(base: Base, folder: Path) -> None:
    """Copy the base's tokenizer files."""
    for pattern in ("tokenizer*", "special_tokens_map.json", "vocab.json", "merges.txt"):
        for path in sorted(base.folder.glob(pattern)):
            shutil.copyfile(path, folder / path.name)

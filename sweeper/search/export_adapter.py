"""The part of `best/` that only our own engines leave: an adapter, with its base's tokenizer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from sweeper.errors import CheckpointError
from sweeper.models.base import Base, is_builtin
from sweeper.models.lora import copy_tokenizer
from sweeper.search.results import StudyResults, TrialResult
from sweeper.training.bases import prepare_base
from sweeper.training.manifest import Manifest, hash_files, moved, read_manifest, write_manifest

_CARD = """# {name}: the best recipe

Trial {number} of the study `{name}`: validation loss {val_loss:.4f} nats.

| file | what it is |
|---|---|
| `adapter_model.safetensors`, `adapter_config.json` | the LoRA adapter, as peft reads it |
| `tokenizer.json` … | the base's tokenizer |
| `recipe.yaml` | the hyperparameters; `sweeper train --recipe recipe.yaml` trains them again |
| `manifest.json`, `curve.jsonl` | what it was made from, and every point of its training |
{base_row}
```python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base = AutoModelForCausalLM.from_pretrained({base})
model = PeftModel.from_pretrained(base, ".")
tokenizer = AutoTokenizer.from_pretrained(".")
```
"""
_BASE_ROW = "| `base/` | the embedded base that the adapter belongs to |\n"


def fill_with_adapter(
    unfinished: Path, results: StudyResults, best: TrialResult, source: Path
) -> None:
    """Make the folder, with the adapter of a trial in it as peft reads it.

    Args:
        unfinished: Where; it becomes `best/`, beside which it lies.
        results: The study.
        best: The trial.
        source: The folder that the trial was trained in.

    Raises:
        CheckpointError: The adapter is not the one that the trial left.
        BaseError: The base is not there any more.
    """
    model, _ = results.spec.base_and_data
    base = prepare_base(model, results.spec.folder, lambda *_: None)
    manifest = read_manifest(source / "manifest.json")
    _check_adapter(source, manifest)
    shutil.copytree(source / "adapter", unfinished)
    copy_tokenizer(base, unfinished)
    if is_builtin(base.source):
        shutil.copytree(base.folder, unfinished / "base")
    write_manifest(unfinished / "manifest.json", _moved_manifest(manifest, source, unfinished))
    (unfinished / "README.md").write_text(_card(results, best, base), "utf-8")


def _check_adapter(source: Path, manifest: Manifest) -> None:
    """A safetensors file with a flipped byte loads without a word."""
    found = hash_files(source / "adapter") if (source / "adapter").is_dir() else {}
    if manifest.result is None or found != manifest.result.adapter_sha256:
        raise CheckpointError(
            f"trials/{source.name}/adapter is not what the trial left there (SHA-256 differs); "
            f"put a copy in its place, or train it again: sweeper train --manifest "
            f"{source / 'manifest.json'} --out FOLDER makes the same in FOLDER/adapter"
        )


def _moved_manifest(manifest: Manifest, source: Path, folder: Path) -> Manifest:
    plan = manifest.plan
    data = plan.data.model_copy(update={"train": moved(plan.data.train, source, folder)})
    plan = plan.model_copy(update={"model": moved(plan.model, source, folder), "data": data})
    return manifest.model_copy(update={"plan": plan})


def _card(results: StudyResults, best: TrialResult, base: Base) -> str:
    builtin = is_builtin(base.source)
    return _CARD.format(
        name=results.spec.folder_name,
        number=best.number,
        val_loss=best.val_loss,
        base_row=_BASE_ROW if builtin else "",
        base=_literal("base" if builtin else base.source),
    )


def _literal(text: str) -> str:
    """A Python string that ends neither its line nor the block of code around it."""
    return json.dumps(text).replace("`", "\\u0060")

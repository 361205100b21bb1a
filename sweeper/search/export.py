"""`best/`: the winning adapter in a form that anybody can load, with its recipe and manifest."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml

from sweeper.errors import CheckpointError
from sweeper.models.base import Base, is_builtin
from sweeper.models.lora import copy_tokenizer
from sweeper.search.results import StudyResults, TrialResult
from sweeper.training.manifest import Manifest, hash_files, moved, read_manifest, write_manifest
from sweeper.training.pretrain import prepare_base

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

base = AutoModelForCausalLM.from_pretrained("{base}")
model = PeftModel.from_pretrained(base, ".")
tokenizer = AutoTokenizer.from_pretrained(".")
```
"""
_BASE_ROW = "| `base/` | the embedded base that the adapter belongs to |\n"


def export_best(results: StudyResults) -> Path | None:
    """Write `best/` for the best completed trial, replacing an earlier one at once.

    Returns:
        The folder; None where no trial has completed.

    Raises:
        CheckpointError: The adapter is not the one that the trial left.
        BaseError: The base is not there any more.
    """
    best = results.best
    if best is None:
        return None
    base = prepare_base(results.spec.base_and_data[0], results.spec.folder, lambda *_: None)
    source = best.folder if best.same_as is None else _folder_of(results, best.same_as)
    manifest = read_manifest(source / "manifest.json")
    _check_adapter(source, manifest)
    folder = results.folder / "best"
    unfinished = results.folder / ".best.tmp"
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(source / "adapter", unfinished)
    copy_tokenizer(base, unfinished)
    if is_builtin(base.source):
        shutil.copytree(base.folder, unfinished / "base")
    shutil.copyfile(source / "curve.jsonl", unfinished / "curve.jsonl")
    write_manifest(unfinished / "manifest.json", _moved_manifest(manifest, source, folder))
    (unfinished / "recipe.yaml").write_text(_recipe(results, best), "utf-8")
    (unfinished / "README.md").write_text(_card(results, best, base), "utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.replace(folder)
    return folder


def _folder_of(results: StudyResults, number: int) -> Path:
    return next(trial.folder for trial in results.trials if trial.number == number)


def _check_adapter(source: Path, manifest: Manifest) -> None:
    """A safetensors file with a flipped byte loads without a word."""
    found = hash_files(source / "adapter") if (source / "adapter").is_dir() else {}
    if manifest.result is None or found != manifest.result.adapter_sha256:
        raise CheckpointError(
            f"trials/{source.name}/adapter is not what the trial left there (SHA-256 differs); "
            f"train it again with `sweeper reproduce STUDY --trial {int(source.name)}`"
        )


def _moved_manifest(manifest: Manifest, source: Path, folder: Path) -> Manifest:
    plan = manifest.plan
    data = plan.data.model_copy(update={"train": moved(plan.data.train, source, folder)})
    plan = plan.model_copy(update={"model": moved(plan.model, source, folder), "data": data})
    return manifest.model_copy(update={"plan": plan})


def _recipe(results: StudyResults, best: TrialResult) -> str:
    head = (
        f"# The best recipe of the study {results.spec.folder_name}: trial {best.number}, "
        f"validation loss {best.val_loss:.4f} nats.\n"
    )
    return head + yaml.safe_dump(dict(best.hyperparameters), sort_keys=False)


def _card(results: StudyResults, best: TrialResult, base: Base) -> str:
    builtin = is_builtin(base.source)
    return _CARD.format(
        name=results.spec.folder_name,
        number=best.number,
        val_loss=best.val_loss,
        base_row=_BASE_ROW if builtin else "",
        base="base" if builtin else base.source,
    )

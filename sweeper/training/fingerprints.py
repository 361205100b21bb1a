"""What a run depends on, by content or version: taken where it is trained."""

from __future__ import annotations

import importlib.metadata
import platform

import torch

from sweeper.training.kernels.choice import kernels_on
from sweeper.training.manifest import Fingerprints, code_fingerprint
from sweeper.training.workbench import Workbench

_DEPENDENCIES = ("torch", "transformers", "peft", "tokenizers", "safetensors", "numpy")


def take_fingerprints(bench: Workbench, seed: int) -> Fingerprints:
    """Fingerprint everything that a run on this workbench depends on."""
    return Fingerprints(
        base=bench.base.fingerprint,
        corpus=bench.corpus_fingerprint,
        stream=bench.stream(seed).fingerprint,
        code=code_fingerprint(),
        dependencies={
            **{name: importlib.metadata.version(name) for name in _DEPENDENCIES},
            "kernels": kernels_on(torch.device(bench.device.kind)),
        },
        python=platform.python_version(),
        machine=f"{platform.system()} {platform.machine()}",
        hardware=bench.device.name,
    )

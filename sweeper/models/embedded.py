"""Where the bases that sweeper makes itself are kept, and what they are made from.

They are made on the training floor; here is only what it takes to find them again.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from sweeper.errors import BaseError
from sweeper.files import cache_folder
from sweeper.models.tiny import POSITIONS, SHAPE
from sweeper.study import Hyperparameters

GENERAL_TEXT = "builtin:python-reference"
SEED = 0
# Full fine-tuning of 1 M weights on 0.2 M tokens, some eight epochs: further
# steps lower the training loss and no longer that of other text.
RECIPE = Hyperparameters(
    block_size=POSITIONS,
    batch_size=8,
    learning_rate=3e-3,
    schedule="cosine",
    warmup=50,
    weight_decay=0.1,
    clip_norm=1.0,
)
STEPS = 700


def embedded_folder(source: str, corpus_fingerprint: str) -> Path:
    """Where an embedded base lies once it has been made: by everything that it is made from.

    Args:
        source: `builtin:tiny` or `builtin:untrained`.
        corpus_fingerprint: Of `GENERAL_TEXT`.

    Raises:
        BaseError: The source is none of them.
    """
    steps = pretraining_steps(source)
    identity = json.dumps([SHAPE, RECIPE.model_dump(), steps, SEED, corpus_fingerprint])
    key = hashlib.sha256(identity.encode()).hexdigest()[:16]
    return cache_folder() / "bases" / f"{source.removeprefix('builtin:')}-{key}"


def pretraining_steps(source: str) -> int:
    """Steps that an embedded base is pretrained for.

    Raises:
        BaseError: The source is none.
    """
    steps = {"builtin:tiny": STEPS, "builtin:untrained": 0}.get(source)
    if steps is None:
        raise BaseError(
            f"model: {source} is not built in (allowed: builtin:tiny, builtin:untrained)"
        )
    return steps

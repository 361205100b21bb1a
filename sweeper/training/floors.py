"""Takes the marks of a workbench, once for all trials of a study."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from sweeper.data import IGNORED_TARGET, context_free_losses
from sweeper.diagnosis.floors import FLOORS_FILE, Floors, read_floors
from sweeper.diagnosis.model import read_model_facts
from sweeper.training.manifest_file import write_json
from sweeper.training.workbench import Workbench

_MOST_TOKENS = 2_000_000  # tell the frequencies to three digits, and take a second


def record_floors(bench: Workbench, folder: Path) -> None:
    """Keep the marks of a workbench in a study's folder, unless they are there.

    Every worker may do so: all of them write the same.
    """
    kept = read_floors(folder)
    if kept is None or kept.ground != _ground(bench):
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / FLOORS_FILE, take_floors(bench))


def take_floors(bench: Workbench) -> Floors:
    """The marks of a workbench, on the very predictions that its trials are judged by.

    Frequencies are those of the tokens that count in training, of the stream's first two
    millions, end-of-text included.
    """
    stream = bench.stream(bench.ground.seed)
    tokens, counts = stream.read(0, min(stream.epoch_tokens, _MOST_TOKENS))
    seen = np.stack((tokens[:-1], tokens[1:]))[:, counts[1:]]
    is_target = bench.validation.targets != IGNORED_TARGET
    asked = np.stack((bench.validation.inputs[is_target], bench.validation.targets[is_target]))
    vocabulary = int(bench.base.config["vocab_size"])
    unigram_nats, bigram_nats = context_free_losses(seen, asked, vocabulary)
    facts = read_model_facts(bench.ground.model, bench.ground.folder)
    return Floors(
        model=bench.ground.model,
        vocabulary=vocabulary,
        hidden_size=facts.hidden_size,
        initializer_range=facts.initializer_range,
        looks_untrained=facts.looks_untrained,
        weights_evidence=facts.weights_evidence,
        unigram_nats=unigram_nats,
        bigram_nats=bigram_nats,
        num_predictions=bench.validation.num_targets,
        ground=_ground(bench),
    )


def _ground(bench: Workbench) -> str:
    digest = hashlib.sha256(f"{bench.base.fingerprint} {bench.corpus_fingerprint}".encode())
    digest.update(bench.stream(bench.ground.seed).fingerprint.encode())  # the split, the mask
    digest.update(np.ascontiguousarray(bench.validation.targets).data)
    return digest.hexdigest()

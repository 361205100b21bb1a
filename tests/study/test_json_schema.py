"""The JSON Schema says of a file what the loader says, as far as a schema can."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sweeper.study import Hyperparameters, StudySpec, load_study, spec_to_plain, study_json_schema
from sweeper.study.document import value_of

from .conftest import MINIMAL, Problems, Write
from .schema_check import violations

STUDIES = Path(__file__).parents[2] / "studies"
SCHEMA: dict[str, Any] = study_json_schema()


def plain(text: str) -> object:
    value, wrongs = value_of(text)
    assert wrongs == []
    return value


def described(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Every property's path and description; a section's may stand in its definition."""
    for name, part in schema.get("properties", {}).items():
        definition = SCHEMA["$defs"].get(part.get("$ref", "").removeprefix("#/$defs/"), {})
        yield f"{path}.{name}", part.get("description") or definition.get("description", "")
    for name, part in schema.get("$defs", {}).items():
        yield from described(part, name)


@pytest.mark.parametrize("name", ["plateau.yaml", "gpt2.yaml"])
def test_shipped_studies_fit(name: str) -> None:
    text = (STUDIES / name).read_text(encoding="utf-8")
    assert list(violations(SCHEMA, plain(text), SCHEMA)) == []


def test_written_out_spec_fits(write: Write) -> None:
    data = spec_to_plain(load_study(write(MINIMAL)))
    assert list(violations(SCHEMA, data, SCHEMA)) == []


def test_is_json_and_names_its_dialect() -> None:
    assert json.loads(json.dumps(SCHEMA, allow_nan=False)) == SCHEMA
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(SCHEMA["properties"]) == set(StudySpec.key_names())
    assert set(SCHEMA["required"]) == {"name", "budget"}


def test_every_property_is_described() -> None:
    descriptions = dict(described(SCHEMA))
    assert len(descriptions) > 40
    assert [path for path, description in descriptions.items() if not description] == []


def test_space_knows_every_hyperparameter() -> None:
    assert set(SCHEMA["properties"]["space"]["properties"]) == set(Hyperparameters.model_fields)


GOOD = [
    "seed: 3",
    "prune: {spike: off, plateau: {window: 40%}, peers: asha}",
    "prune: {spike: default, plateau: {margin: 0.5}}",
    "workers: {count: 4, threads: auto}",
    "evaluate: {every_tokens: 40000, tokens: 1.5k}",
    "evaluate: {tokens: null}",
    "baseline: {hyperparameters: {warmup: 10%, clip_norm: null, target_modules: [c_fc, c_attn]}}",
    "baseline: {hyperparameters: {warmup: 500, target_modules: c_fc+c_attn, train_also: []}}",
    "baseline: {hyperparameters: {warmup: 0.25, train_also: embeddings+norms}}",
    "baseline: {hyperparameters: {train_also: ''}}",
    "hypotheses: [{name: a, change: {rank: 4}, expect: speed > baseline}]",
    "output: elsewhere",
    "storage: postgresql://host/db",
]
BAD = [
    "seed: '3'",
    "seed: -1",
    "sede: 3",
    "prune: {spike: on}",
    "prune: {spike: }",
    "workers: {count: many}",
    "evaluate: {every_tokens: 40 thousand}",
    "evaluate: {block_size: 1}",
    "baseline: {hyperparameters: {warmup: 10}, recorded: 5}",
    "baseline: {hyperparameters: {warmup: -1}}",
    "baseline: {hyperparameters: {target_modules: []}}",
    "baseline: {hyperparameters: {target_modules: c-fc}}",
    "baseline: {hyperparameters: {train_also: [heads]}}",
    "baseline: {hyperparameters: {dropout: 1}}",
    "hypotheses: [{name: a, change: {}}]",
    "hypotheses: [{name: a, change: {rank: 4}, expect: speed = baseline}]",
    "hypotheses: [{change: {rank: 4}}]",
    "storage: study.db",
    "trials: {rank: 4}",
]
GOOD_SPACES = [
    "rank: [4, 8]",
    "rank: {low: 4, high: 8, step: 2}",
    "alpha: {low: 4, high: 8.5, log: true}",
    "warmup: [0, 10%, 0.2, 50]",
    "warmup: {low: 0%, high: 20%, step: 5%}",
    "target_modules: [c_fc, [c_attn, c_proj]]",
    "clip_norm: [null, 1]",
]
BAD_SPACES = [
    "rank: 8",
    "rank: []",
    "rank: [4, 4]",
    "rank: [4.5]",
    "rank: {low: 4}",
    "rank: {low: 4, high: 8, lgo: true}",
    "schedule: {low: 1, high: 2}",
    "schedule: [cosin]",
    "ranks: [8]",
]


@pytest.mark.parametrize("line", GOOD + [f"space: {{{dimension}}}" for dimension in GOOD_SPACES])
def test_both_accept(line: str, problems: Problems) -> None:
    text = _with(line)
    assert problems(text) == []
    assert list(violations(SCHEMA, plain(text), SCHEMA)) == []


@pytest.mark.parametrize("line", BAD + [f"space: {{{dimension}}}" for dimension in BAD_SPACES])
def test_both_refuse(line: str, problems: Problems) -> None:
    text = _with(line)
    assert problems(text) != []
    assert list(violations(SCHEMA, plain(text), SCHEMA)) != []


def _with(line: str) -> str:
    kept = [old for old in MINIMAL.splitlines() if old.split(":")[0] != line.split(":")[0]]
    return "\n".join([*kept, line, ""])

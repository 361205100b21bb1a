"""Which changes to a file make another study, and how they are told."""

from __future__ import annotations

import pickle
import random
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweeper.study import (
    StudySpec,
    identity,
    identity_differences,
    load_study,
    spec_from_plain,
    spec_to_plain,
)

from .conftest import MINIMAL, Write

HYPOTHESES = "hypotheses: [{name: a, change: {rank: 4, seed: 1}, expect: speed > baseline}]\n"
FULL = MINIMAL + HYPOTHESES + "prune: {spike: off, plateau: {window: 30%}}\n"


def shuffled(data: object, rng: random.Random) -> object:
    """The data with the keys of every mapping in another order."""
    if isinstance(data, dict):
        items = list(data.items())
        rng.shuffle(items)
        return {key: shuffled(value, rng) for key, value in items}
    return [shuffled(item, rng) for item in data] if isinstance(data, list) else data


@given(seed=st.integers(0, 2**32), width=st.integers(20, 200), flow=st.booleans())
@settings(
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_order_comments_and_layout_do_not_count(
    seed: int, width: int, flow: bool, write: Write
) -> None:
    spec = load_study(write(FULL))
    data = shuffled(spec_to_plain(spec), random.Random(seed))
    text = yaml.safe_dump(data, sort_keys=False, width=width, default_flow_style=flow)
    again = load_study(write("# a comment\n" + text))
    assert identity_differences(identity(spec), identity(again)) == []
    assert again.digest == spec.digest


@pytest.mark.parametrize(
    "override",
    [
        "budget.trials=9",
        "budget.tokens=9M",
        "budget.wall_clock=1h",
        "workers.count=3",
        "storage=sqlite:///a.db",
        "output=elsewhere",
        "budget.tokens_per_trial=240000",
    ],
)
def test_what_may_change(override: str, write: Write) -> None:
    before, after = load_study(write(FULL)), load_study(write(FULL), [override])
    assert identity_differences(identity(before), identity(after)) == []
    assert before.digest == after.digest


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("seed=3", ["seed: 0 -> 3"]),
        ("model=gpt2", ["model: builtin:tiny -> gpt2"]),
        ("space.learning_rate.high=1e-2", ["space.learning_rate.high: 0.1 -> 0.01"]),
        ("space.learning_rate=[1]", [
            'space.learning_rate: {"low": 1e-05, "high": 0.1, "log": true, "step": null} -> [1.0]'
        ]),
        ("space.schedule=[linear]", ['space.schedule: (not there) -> ["linear"]']),
        ("space={rank: [4]}", [
            'space.learning_rate: {"low": 1e-05, "high": 0.1, "log": true, '
            '"step": null} -> (removed)',
            "space.rank: (not there) -> [4]",
        ]),
        ("budget.tokens_per_trial=1M", ["budget.tokens_per_trial: 240000 -> 1000000"]),
        ("prune.plateau=off", ['prune.plateau: {"window": 0.3, "margin": 0.1} -> off']),
        ("baseline.hyperparameters.clip_norm=null", [
            "baseline.hyperparameters.clip_norm: 1.0 -> null"
        ]),
        ("baseline.hyperparameters.train_also=norms", [
            'baseline.hyperparameters.train_also: "" -> norms'
        ]),
        ("data.test=5%", ["data.test: (not there) -> 0.05"]),
        ("hypotheses.0.change.rank=2", ["hypotheses.0.change.rank: 4 -> 2"]),
        ("hypotheses=[]", [
            'hypotheses.0: {"name": "a", "change": {"rank": 4, "seed": 1}, '
            '"expect": "speed > baseline"} -> (removed)'
        ]),
    ],
)  # fmt: skip
def test_what_makes_another_study(override: str, expected: list[str], write: Write) -> None:
    before, after = load_study(write(FULL)), load_study(write(FULL), [override])
    assert identity_differences(identity(before), identity(after)) == expected
    assert before.digest != after.digest


def test_study_from_before_a_key_was_added_is_the_same(write: Write) -> None:
    now = identity(load_study(write(FULL)))
    assert "test" not in now["data"]  # type: ignore[operator]
    assert "split" not in now["evaluate"]  # type: ignore[operator]


def test_plain_form_makes_the_same_spec(write: Write) -> None:
    path = write(FULL)
    spec = load_study(path)
    assert spec_from_plain(spec_to_plain(spec), path) == spec
    assert StudySpec.model_validate(spec_to_plain(spec)).at(path) == spec


def test_spec_survives_pickling(write: Write) -> None:
    spec = load_study(write(FULL))
    again = pickle.loads(pickle.dumps(spec))
    assert again == spec
    assert again.path == spec.path


def test_at_leaves_the_first_spec_alone(write: Write) -> None:
    path = write(FULL)
    spec = load_study(path)
    assert spec.at(Path("other.yaml")).path == Path("other.yaml")
    assert spec.path == path

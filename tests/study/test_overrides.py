"""`--set`: the same study as if the file said so."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sweeper.errors import StudyFileError
from sweeper.study import load_study

from .conftest import MINIMAL, Problems, Write


@pytest.mark.parametrize(
    ("override", "old", "new"),
    [
        ("budget.trials=9", "trials: 3", "trials: 9"),
        ("budget.tokens_per_trial=1M", "240k", "1M"),
        ("name= other", "name: small", "name: other"),
        ("space.learning_rate.log=false", "log: true", "log: false"),
        ("space.learning_rate=[1e-3, 2e-3]", "{low: 1e-5, high: 1e-1, log: true}", "[1e-3, 2e-3]"),
        ("storage=sqlite:///a.db?x=1", "model:", "storage: sqlite:///a.db?x=1\nmodel:"),
        (
            "baseline.hyperparameters.warmup=10%",
            "model:",
            "baseline: {hyperparameters: {warmup: 10%}}\nmodel:",
        ),
    ],
)
def test_override_equals_edited_file(override: str, old: str, new: str, write: Write) -> None:
    overridden = load_study(write(MINIMAL), [override])
    assert old in MINIMAL
    assert overridden == load_study(write(MINIMAL.replace(old, new)))
    assert overridden != load_study(write(MINIMAL))


@given(rate=st.floats(1e-300, 10), rank=st.integers(1, 2**31 - 1))
@settings(
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_value_survives_both_ways(rate: float, rank: int, write: Write) -> None:
    keys = {"learning_rate": rate, "rank": rank}
    path = "baseline.hyperparameters"
    overridden = load_study(
        write(MINIMAL), [f"{path}.{key}={value!r}" for key, value in keys.items()]
    )
    edited = load_study(write(f"{MINIMAL}baseline:\n  hyperparameters: {keys!r}\n"))
    assert overridden == edited
    assert edited.baseline.hyperparameters.learning_rate == rate


def test_list_items_by_index(write: Write) -> None:
    path = write(MINIMAL + "hypotheses: [{name: a, change: {rank: 4}}]\n")
    spec = load_study(path, ["hypotheses.0.name=b", "hypotheses.0.change.rank=2"])
    assert (spec.hypotheses[0].name, spec.hypotheses[0].change) == ("b", {"rank": 2})


def test_later_override_wins(write: Write) -> None:
    assert load_study(write(MINIMAL), ["seed=1", "seed=2"]).seed == 2


def test_override_can_mend_a_wrong_value(write: Write) -> None:
    text = MINIMAL + "seed: x\nworkers: {count: none}\n"
    assert load_study(write(text), ["seed=1", "workers={}"]).seed == 1


def test_alias_is_overridden_in_one_place_only(write: Write) -> None:
    text = MINIMAL + "evaluate: &e {block_size: 64}\nhypotheses: [{name: a, change: *e}]\n"
    spec = load_study(write(text), ["evaluate.block_size=32"])
    assert (spec.evaluate.block_size, spec.hypotheses[0].change) == (32, {"block_size": 64})


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        (
            "budget.trials",
            "cannot read 'budget.trials' (allowed: key=value, such as budget.trials=5)",
        ),
        ("=3", "cannot read '=3' (allowed: key=value, such as budget.trials=5)"),
        ("budget..x=3", "cannot read 'budget..x=3' (allowed: key=value, such as budget.trials=5)"),
        ("name.x=1", "name.x: name is the text 'small'; set name as a whole"),
        (
            "prune.spike.patience=1%",
            "prune.spike.patience: prune.spike is the text 'default'; set prune.spike as a whole",
        ),
        (
            "trials.0=1",
            "trials.0: trials is a list without an item 0 (allowed: an empty list: none)",
        ),
        (
            "space.rank.2=1",
            "space.rank.2: space.rank is a list without an item 2 (allowed: an index from 0 to 1)",
        ),
        (
            "space.rank.-1=1",
            "space.rank.-1: space.rank is a list without an item -1 "
            "(allowed: an index from 0 to 1)",
        ),
        (
            "space.rank.1=x",
            "space.rank.1: expected a whole number, got the text 'x' "
            "(allowed: a whole number, at least 1)",
        ),
        (
            "budget.trails=5",
            "budget.trails: unknown key, did you mean trials? "
            "(allowed: trials, tokens_per_trial, tokens, wall_clock, time_per_trial, price)",
        ),
        ("seed=[*x]", "seed: not valid YAML: found undefined alias 'x'"),
        (
            "seed=!!python/x 1",
            "seed: the tag !!python/x is not supported (allowed: values without a tag)",
        ),
        (
            "workers={count: 1, count: 2}",
            "workers: count: this key stands twice, first at line 1 (allowed: once)",
        ),
        ("seed=\x07", "seed: the character U+0007 may not stand in YAML"),
        ("seed=1\n--- 2", "seed: a second document begins here (allowed: one study in a file)"),
    ],
)
def test_override_refused(override: str, expected: str, problems: Problems) -> None:
    text = MINIMAL.replace("space: {", "space: {rank: [4, 8], ")
    text += "prune: {spike: default}\ntrials: []\n"
    assert problems(text, override) == [f"--set  {expected}"]


def test_unknown_path_is_reported_at_its_first_unknown_key(problems: Problems) -> None:
    (problem,) = problems(MINIMAL, "bugdet.trials.x=1")
    assert problem.startswith("--set  bugdet: unknown key, did you mean budget?")


def test_override_leaves_the_places_of_the_rest(write: Write) -> None:
    path = write(MINIMAL + "seed: x\nworkers: {count: none}\n")
    with pytest.raises(StudyFileError) as caught:
        load_study(path, ["seed=y"])
    assert [(problem.file, problem.line, problem.column) for problem in caught.value.problems] == [
        (str(path), 7, 18),
        ("--set", 0, 0),
    ]

from __future__ import annotations

from collections.abc import Mapping

import pytest

from sweeper.curves import Finding, FindingKind
from sweeper.diagnosis.invocation import (
    choose_horizon,
    command_line,
    remark_on,
    steps_of_test,
)
from tests.diagnosis.fakes import case_of, config_of, finding, points, recorded_case, spike


@pytest.mark.parametrize(
    ("found", "horizon"),
    [
        ((), 50),
        ((spike(10, 11),), 50),
        ((spike(80, 89),), 90),
        ((finding(FindingKind.PLATEAU, 40, 100),), 70),
        ((finding(FindingKind.DIVERGENCE, 60, 100, recovered=False),), 100),
        ((finding(FindingKind.PLATEAU, 0, 10_000),), 100),
    ],
)
def test_a_test_is_as_long_as_the_trouble_needs(found: tuple[Finding, ...], horizon: int) -> None:
    losses = [3.0] * 101
    for each in found:
        losses[each.start_step] = 5.0

    assert choose_horizon(case_of(points(losses), found)) == horizon


@pytest.mark.parametrize(
    ("config", "change", "num_steps"),
    [
        ({"block_size": 256, "batch_size": 8}, {"block_size": 128}, 2000),
        ({"block_size": 256, "batch_size": 8}, {"accumulation": 4}, 250),
        ({"block_size": 256, "batch_size": 8}, {"batch_size": 24}, 334),
        ({"block_size": 256, "batch_size": 8}, {"learning_rate": 1.0}, 1000),
        ({"block_size": 256}, {"block_size": 128}, 1000),
        ({"block_size": 256, "batch_size": 0}, {"block_size": 128}, 1000),
    ],
)
def test_a_test_sees_as_many_tokens_as_the_run_did(
    config: Mapping[str, object], change: Mapping[str, object], num_steps: int
) -> None:
    assert steps_of_test(config_of(config), change, 1000) == num_steps


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("cosine; rm -rf /", "SCHEDULE='cosine; rm -rf /'"),
        ("", "SCHEDULE=''"),
        (None, "SCHEDULE=''"),
    ],
)
def test_what_a_shell_would_read_otherwise_is_quoted(value: object, word: str) -> None:
    case = recorded_case({"schedule": value})

    assert word in command_line(case, {"learning_rate": 1e-4}, 100, None)


def test_the_remark_names_the_variables_that_must_be_read() -> None:
    change = {"learning_rate": 1e-4, "schedule": "constant"}

    assert "a script such as training.py reads LEARNING_RATE and SCHEDULE from" in remark_on(
        recorded_case(), change, None
    )
    assert "your script reads" in remark_on(recorded_case(), change, "python train.py")
    assert "environment" not in remark_on(recorded_case(is_trial=True), change, None)

"""Which worker has which GPU."""

from __future__ import annotations

import pytest

from sweeper.search.workers.gpus import gpu_variables, gpus_here

FILES = ["nvidia10", "nvidia0", "nvidia2", "nvidiactl", "nvidia-uvm", "null"]


@pytest.mark.parametrize(
    ("environment", "gpus"),
    [
        ({}, ["0", "1", "2"]),
        ({"CUDA_VISIBLE_DEVICES": "3, 1"}, ["3", "1"]),
        ({"CUDA_VISIBLE_DEVICES": "MIG-5e2a"}, ["MIG-5e2a"]),
        ({"CUDA_VISIBLE_DEVICES": ""}, []),
    ],
)
def test_the_gpus_are_those_that_this_process_may_use(
    environment: dict[str, str], gpus: list[str]
) -> None:
    assert gpus_here(environment, FILES) == gpus


def test_a_machine_without_gpus_has_none() -> None:
    assert gpus_here({}, ["null", "nvidiactl"]) == []


@pytest.mark.parametrize(
    ("worker", "gpus", "variables"),
    [
        (0, ["3", "1"], {"CUDA_VISIBLE_DEVICES": "3"}),
        (1, ["3", "1"], {"CUDA_VISIBLE_DEVICES": "1"}),
        (2, ["3", "1"], {"CUDA_VISIBLE_DEVICES": "3"}),
        (5, [], {}),
    ],
)
def test_each_worker_sees_one(worker: int, gpus: list[str], variables: dict[str, str]) -> None:
    assert gpu_variables(worker, gpus) == variables

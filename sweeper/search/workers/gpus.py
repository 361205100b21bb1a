"""One GPU for each worker of a machine, where there are GPUs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

_VISIBLE = "CUDA_VISIBLE_DEVICES"
_DEVICE = re.compile(r"nvidia\d+")


def gpus_here(environment: Mapping[str, str], devices: Iterable[str]) -> list[str]:
    """What CUDA calls the GPUs that this process may use; nothing is asked of CUDA itself.

    Args:
        environment: Variables of this process; a scheduler or a person may have narrowed the GPUs.
        devices: Names of device files, such as `nvidia0`.
    """
    if _VISIBLE in environment:
        return [name.strip() for name in environment[_VISIBLE].split(",") if name.strip()]
    # CUDA counts from 0 those that it finds; the numbers of the files are the host's.
    return [str(number) for number, _ in enumerate(filter(_DEVICE.fullmatch, devices))]


def found_gpus(environment: Mapping[str, str]) -> list[str]:
    """`gpus_here` with the device files of this machine."""
    return gpus_here(environment, (path.name for path in Path("/dev").glob("nvidia*")))


def gpu_variables(worker: int, gpus: Sequence[str]) -> dict[str, str]:
    """What a worker's process has in its environment, so that it sees one GPU.

    Args:
        worker: Its number among the workers of this machine, from 0. Where there are more workers
            than GPUs, some share one.
        gpus: Of `gpus_here`.
    """
    return {_VISIBLE: gpus[worker % len(gpus)]} if gpus else {}

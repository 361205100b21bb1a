"""A Kubernetes Job without Kubernetes: its pods are processes, each the first of its own machine.

What a test learns from it: that the example's arguments are ones that the program takes, that its
exit codes are those that the Job's policy goes by, and that the program can be a container's first
process, which gets no signal that it does not handle. Not what a cluster's own parts do.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

from tests.faults.processes import children_of
from tests.servers import PATIENCE_S

_UNSHARE = ("unshare", "--pid", "--uts", "--mount-proc", "--fork", "--kill-child=KILL")
_NAMED = 'hostname "$1"; shift; exec "$@"'  # the first process is still the same one after it


class Job:
    """A Job's pods; as a context, they run, and are gone afterwards.

    Args:
        manifest: Its file.
        changes: Of its arguments, by what they begin with, as a person would edit the file.
        folder: Where the pods run.

    Attributes:
        ends: Exit codes of the pods that have ended, in that order.
        failures: How many of them count as failed.
    """

    def __init__(self, manifest: Path, changes: Mapping[str, str], folder: Path) -> None:
        if not _may_have_pods():
            pytest.skip("nobody here may give processes numbers of their own (root with unshare)")
        job = yaml.safe_load(manifest.read_text("utf-8"))
        self._spec: dict[str, Any] = job["spec"]
        self._name: str = job["metadata"]["name"]
        pod = self._spec["template"]["spec"]
        (self._container,) = pod["containers"]
        self._grace_s: float = pod["terminationGracePeriodSeconds"]
        self._changes = dict(changes)
        self._folder = folder
        self._pods: dict[int, subprocess.Popen[bytes]] = {}
        self._completed: set[int] = set()
        self.ends: list[int] = []
        self.failures = 0

    def __enter__(self) -> Self:
        for index in range(self._spec["parallelism"]):
            self._begin(index)
        return self

    def __exit__(self, *_: object) -> None:
        for pod in self._pods.values():
            pod.kill()
            pod.wait()

    @property
    def indices(self) -> list[int]:
        """Those whose pods run."""
        return [*self._pods]

    def _begin(self, index: int) -> None:
        with (self._folder / f"pod-{index}.log").open("ab") as log:
            self._pods[index] = subprocess.Popen(
                [*_UNSHARE, "sh", "-c", _NAMED, "sh", f"{self._name}-{index}", *self._arguments()],
                env=self._variables(index),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _arguments(self) -> Sequence[str]:
        left = dict(self._changes)
        arguments = []
        for argument in self._container["args"]:
            start = next((start for start in left if argument.startswith(start)), None)
            arguments.append(argument if start is None else left.pop(start))
        assert not left, f"the example has no argument for {[*left]}"
        return arguments

    def _variables(self, index: int) -> dict[str, str]:
        its_own = {each["name"]: each["value"] for each in self._container["env"]}
        ours = {name: os.environ[name] for name in its_own.keys() & os.environ.keys()}
        of_kubernetes = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "JOB_COMPLETION_INDEX": f"{index}"}
        return {**os.environ, **its_own, **ours, **of_kubernetes}

    def evict(self, index: int) -> None:
        """Ask a pod to leave, once it can hear, and end it where it has not in its time."""
        self._wait_for(lambda: _catches(self._first(index), signal.SIGTERM))
        os.kill(self._first(index), signal.SIGTERM)
        try:
            self._pods[index].wait(self._grace_s)
        except subprocess.TimeoutExpired:
            self._pods[index].kill()
        self.look()

    def lose(self, index: int) -> None:
        """End a pod as when its machine is gone."""
        self._pods[index].kill()  # `unshare`, and with it all that is in the pod
        self._pods[index].wait()
        self.look()

    def _first(self, index: int) -> int:
        """Its first process, by the number that we know it by."""
        self._wait_for(lambda: children_of(self._pods[index].pid))
        return children_of(self._pods[index].pid)[0]

    def _wait_for(self, what: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not what():
            assert time.monotonic() < deadline, "the pod never began"
            time.sleep(0.01)

    def look(self) -> bool:
        """Have pods that ended replaced as the Job's policy says; whether all have completed.

        Raises:
            AssertionError: The Job has failed.
        """
        for index, pod in [*self._pods.items()]:
            code = pod.poll()
            if code is None:
                continue
            del self._pods[index]
            self.ends.append(code if code >= 0 else 128 - code)
            if code == 0:
                self._completed.add(index)
                continue
            if self._action_of(self.ends[-1]) != "Ignore":
                self.failures += 1
            assert self.failures <= self._spec["backoffLimit"], self.said()
            self._begin(index)
        return len(self._completed) == self._spec["completions"]

    def _action_of(self, code: int) -> str:
        for rule in self._spec["podFailurePolicy"]["rules"]:
            codes = rule.get("onExitCodes")
            if codes is not None and code in codes["values"]:
                assert (codes["operator"], codes["containerName"]) == (
                    "In",
                    self._container["name"],
                )
                assert rule["action"] != "FailJob", "the Job has failed"
                return str(rule["action"])
        return "Count"

    def said(self) -> str:
        """What all its pods have printed."""
        logs = sorted(self._folder.glob("pod-*.log"))
        return "\n".join(log.read_text("utf-8", "replace") for log in logs)


def _may_have_pods() -> bool:
    """Whether a pod can be made: root of a container often must not."""
    if shutil.which(_UNSHARE[0]) is None:
        return False
    command = [*_UNSHARE, "sh", "-c", _NAMED, "sh", "pod", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _catches(pid: int, number: int) -> bool:
    """Whether a process has an answer of its own to a signal; see proc(5)."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(status.partition("SigCgt:")[2].split()[0], 16)
    return bool(caught >> (number - 1) & 1)

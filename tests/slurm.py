"""A Slurm cluster of one node that a test starts, from Debian's packages; it needs no root."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import pytest

from tests.servers import PATIENCE_S, free_port

_PROGRAMS = ("munged", "slurmctld", "slurmd")
_PLACES = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_NODE, _CORES = "node", 2
_GRACE_S = 60  # between the notice and the end of a job that has to make room
URGENT = "urgent"  # a partition whose jobs have others make room

# No cgroups, no database: nothing of the machine is touched but ports and the folder.
_CONF = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={home}/munge.socket
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool
SlurmctldPidFile={home}/slurmctld.pid
SlurmdPidFile={home}/slurmd.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
SlurmdParameters=config_overrides
ReturnToService=2
NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cores} State=UNKNOWN
PartitionName=usual Nodes={node} Default=YES PriorityTier=1 GraceTime={grace_s} State=UP
PartitionName={urgent} Nodes={node} PriorityTier=2 PreemptMode=OFF State=UP
"""


class Slurm:
    """The cluster; as a context, it runs, and is gone afterwards with its jobs."""

    def __init__(self) -> None:
        missing = [name for name in _PROGRAMS if shutil.which(name, path=_PLACES) is None]
        if missing:
            pytest.skip(f"no {', '.join(missing)}: apt-get install munge slurmctld slurmd")
        self._daemons: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self._home = Path(tempfile.mkdtemp(prefix="sweeper-slurm-"))  # a socket's path is short
        for name in ("state", "spool"):
            (self._home / name).mkdir()
        self._conf = self._home / "slurm.conf"
        self._conf.write_text(
            _CONF.format(
                host=socket.gethostname().partition(".")[0],
                controller_port=free_port(),
                node_port=free_port(),
                user=getpass.getuser(),
                home=self._home,
                node=_NODE,
                cores=_CORES,
                grace_s=_GRACE_S,
                urgent=URGENT,
            )
        )
        key = self._home / "munge.key"
        key.write_bytes(os.urandom(64))
        key.chmod(0o600)
        try:
            self._start(
                *("munged", "--foreground", "--force", "--key-file", str(key)),
                *("--socket", str(self._home / "munge.socket")),
                *("--pid-file", str(self._home / "munged.pid")),
                *("--log-file", str(self._home / "munged.log")),
                *("--seed-file", str(self._home / "munged.seed")),
            )
            self._start("slurmctld", "-D", "-f", str(self._conf))
            self._start("slurmd", "-D", "-f", str(self._conf), "-N", _NODE)
            self._wait_for_node()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _start(self, program: str, *arguments: str) -> None:
        path = shutil.which(program, path=_PLACES)
        assert path is not None
        with (self._home / f"{program}.out").open("wb") as said:
            # The kernel ends it with the test run, however that ends.
            command = ["setpriv", "--pdeathsig", "TERM", path, *arguments]
            self._daemons.append(
                subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=self._env())
            )

    def _end(self) -> None:
        for daemon in reversed(self._daemons):
            daemon.terminate()
            daemon.wait(PATIENCE_S)
        shutil.rmtree(self._home, ignore_errors=True)

    def _env(self) -> dict[str, str]:
        return {**os.environ, "SLURM_CONF": str(self._conf)}

    def _wait_for_node(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while "idle" not in self.call("sinfo", "-h", "-o", "%T", may_fail=True).split():
            assert time.monotonic() < deadline, self._said()
            time.sleep(0.2)

    def _said(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in self._home.glob("*.out"))

    def call(
        self,
        *command: str,
        variables: Mapping[str, str] | None = None,
        folder: Path | None = None,
        may_fail: bool = False,
    ) -> str:
        """What one of Slurm's commands says.

        Raises:
            AssertionError: It fails, and must not.
        """
        done = subprocess.run(
            command,
            env={**self._env(), **(variables or {})},
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        assert may_fail or done.returncode == 0, f"{done.stdout}{done.stderr}{self._said()}"
        return done.stdout

    def submit(
        self, *options: str, variables: Mapping[str, str] | None = None, folder: Path
    ) -> str:
        """A job; its number.

        Args:
            options: Of `sbatch`, the script included.
            variables: Of its environment, beside our own.
            folder: Where it runs.
        """
        said = self.call("sbatch", "--parsable", *options, variables=variables, folder=folder)
        return said.strip()

    def tasks(self, job: str) -> list[dict[str, str]]:
        """What Slurm says of each task of a job array, or of a job."""
        blocks = self.call("scontrol", "show", "job", job).strip().split("\n\n")
        return [dict(re.findall(r"(\w+)=(\S*)", block)) for block in blocks]

    def begin_now(self, tasks: Sequence[Mapping[str, str]]) -> None:
        """Let tasks that were put back into the queue begin: Slurm lets them wait two minutes."""
        for task in tasks:
            self.call("scontrol", "update", f"JobId={task['JobId']}", "StartTime=now")

"""A Ceph cluster of one node that a test starts, for its gateway to S3; it needs no root.

From Debian's packages. All data are in memory.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import pytest

from tests.servers import PATIENCE_S, free_port

_PROGRAMS = (
    *("monmaptool", "ceph", "ceph-mon", "ceph-osd", "radosgw", "radosgw-admin"),
    *("openssl", "setpriv"),
)
KEY, SECRET = "the-key", "the-secret"
# The folder of a run that is gone; its daemons may write for as long as the kernel takes.
_GUARD = 'cat > /dev/null; until rm -rf "$1"; do sleep 0.1; done'

# A gateway asks its monitor for a secure connection, which there is only with keys. A monitor
# leaves where a twentieth of the disk is free.
_CONF = """
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{monitor_port}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr1 = false
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
run dir = {home}
admin socket = {home}/$name.asok
log file = {home}/$name.log
keyring = {home}/keyring
mon data = {home}/mon
mon data avail crit = 1
mon allow pool size one = true
paxos propose interval = 0.02
osd data = {home}/osd
osd objectstore = memstore
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off

[client.rgw.one]
rgw data = {home}/rgw
rgw frontends = beast {endpoint}
"""


class Ceph:
    """The cluster, with a user of its gateway; as a context, it runs, and is gone afterwards.

    The gateway alone can be taken away and brought back.

    Args:
        is_encrypted: Whether it is spoken to by TLS.
    """

    def __init__(self, *, is_encrypted: bool = False) -> None:
        missing = [name for name in _PROGRAMS if shutil.which(name) is None]
        if missing:
            packages = "ceph-mon ceph-osd ceph-common radosgw openssl"
            pytest.skip(f"no {', '.join(missing)}: apt-get install {packages}")
        self._is_encrypted = is_encrypted
        self._daemons: list[subprocess.Popen[bytes]] = []
        self._gateway: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._home = Path(tempfile.mkdtemp(prefix="sweeper-ceph-"))  # a socket's path is short
        self._guard = subprocess.Popen(
            ["sh", "-c", _GUARD, "guard", str(self._home)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )
        try:
            self._begin()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    @property
    def variables(self) -> Mapping[str, str]:
        """What leads S3's clients to it."""
        if self._is_encrypted:  # by a certificate that nobody else has signed
            address = f"https://127.0.0.1:{self._port}"
            return {"AWS_ENDPOINT_URL_S3": address, "AWS_CA_BUNDLE": str(self._certificate)}
        return {"AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{self._port}"}

    def start(self) -> None:
        """Start the gateway, unless it runs, and wait until it answers."""
        if self._gateway is not None:
            return
        self._gateway = self._daemon("radosgw", "-n", "client.rgw.one")
        deadline = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert self._gateway.poll() is None, self._said()
            assert time.monotonic() < deadline, self._said()
            time.sleep(0.05)

    def signal(self, number: int) -> None:
        """Send a signal to the gateway."""
        assert self._gateway is not None, "it does not run"
        self._gateway.send_signal(number)

    def kill(self) -> None:
        """End the gateway at once, as a machine that loses its power, if it runs."""
        if self._gateway is not None:
            self._gateway.kill()
            self._gateway.wait(PATIENCE_S)
            self._gateway = None

    def add_user(self, name: str, key: str, secret: str) -> None:
        """Let somebody in by a pair of keys."""
        command = ("radosgw-admin", "user", "create", f"--uid={name}", f"--display-name={name}")
        self._call(*command, "--access-key", key, "--secret-key", secret)

    def _begin(self) -> None:
        cluster, disk, monitor_port = str(uuid.uuid4()), str(uuid.uuid4()), free_port()
        self._port = free_port()
        self._certificate, key = self._home / "certificate.pem", self._home / "key.pem"
        endpoint = f"endpoint=127.0.0.1:{self._port}"
        if self._is_encrypted:
            endpoint = f"ssl_{endpoint} ssl_certificate={self._certificate} ssl_private_key={key}"
            self._call(
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
                *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
                *("-keyout", str(key), "-out", str(self._certificate)),
            )
        (self._home / "ceph.conf").write_text(
            _CONF.format(
                fsid=cluster, monitor_port=monitor_port, home=self._home, endpoint=endpoint
            )
        )
        for name in ("mon", "osd", "rgw"):
            (self._home / name).mkdir()
        plan, at = str(self._home / "monmap"), f"[v2:127.0.0.1:{monitor_port}]"
        self._call("monmaptool", "--create", "--fsid", cluster, "--addv", "one", at, plan)
        self._call("ceph-mon", "--mkfs", "-i", "one", "--monmap", plan)
        self._daemons.append(self._daemon("ceph-mon", "-i", "one"))
        self._call("ceph", "osd", "new", disk)  # waits for the monitor
        self._call("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", disk)
        self._daemons.append(self._daemon("ceph-osd", "-i", "0"))
        self.start()
        self.add_user("sweeper", KEY, SECRET)

    def _end(self) -> None:
        self.kill()
        for daemon in reversed(self._daemons):
            daemon.kill()
            daemon.wait(PATIENCE_S)
        self._guard.communicate(timeout=PATIENCE_S)

    def _daemon(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._home / f"{program}.out").open("ab") as said:
            # The kernel ends it with the test run, however that ends.
            return subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", program, "-f", *arguments],
                stdout=said,
                stderr=subprocess.STDOUT,
                env=self._env(),
            )

    def _call(self, *command: str) -> None:
        done = subprocess.run(
            command,
            env=self._env(),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, f"{done.stdout}{done.stderr}{self._said()}"

    def _env(self) -> dict[str, str]:
        return {**os.environ, "CEPH_CONF": str(self._home / "ceph.conf")}

    def _answers(self) -> bool:
        with socket.socket() as caller:
            return caller.connect_ex(("127.0.0.1", self._port)) == 0

    def _said(self) -> str:
        return "\n".join(path.read_text(errors="replace") for path in self._home.glob("*.out"))

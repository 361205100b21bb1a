"""An S3 server of one bucket, in this process, for the client that everybody uses."""

from __future__ import annotations

from types import TracebackType
from urllib.request import Request, urlopen

import boto3
import pytest
from moto.server import ThreadedMotoServer


class Bucket:
    """The server, and the variables that lead to it.

    Args:
        monkeypatch: Sets the variables, for as long as the test.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._monkeypatch = monkeypatch
        self._is_open = False

    def __enter__(self) -> Bucket:
        self._server.start()
        self._is_open = True
        host, port = self._server.get_host_and_port()
        address = f"http://{host}:{port}"
        # All servers of a process have the same things.
        urlopen(Request(f"{address}/moto-api/reset", method="POST")).close()
        variables = {
            "AWS_ENDPOINT_URL_S3": address,
            "AWS_ACCESS_KEY_ID": "the-key",
            "AWS_SECRET_ACCESS_KEY": "the-secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": "/nowhere/config",
            "AWS_SHARED_CREDENTIALS_FILE": "/nowhere/credentials",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        for name, value in variables.items():
            self._monkeypatch.setenv(name, value)
        self._monkeypatch.delenv("AWS_PROFILE", raising=False)
        self._monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
        boto3.client("s3").create_bucket(Bucket="bucket")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Refuse every connection from now on."""
        if self._is_open:
            self._is_open = False
            self._server.stop()

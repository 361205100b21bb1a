"""What a cluster that cannot be had is told as."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sweeper.errors import WorkerError
from sweeper.search.workers import clusters
from tests.search.fakes import spec_at

# As Ray raises it: the reason is in the cause alone, beneath a traceback.
REFUSED = "Failed to connect. Last error: Traceback\n  File\nInvalidAuthToken: token is missing\n"
NOT_FOUND = "Traceback (most recent call last):\n  File ...\nNo node info found\n"


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (REFUSED, r"10.0.0.1:6379 wants another token .* Next: RAY_AUTH_MODE=token, and"),
        (NOT_FOUND, r"no connection to 10.0.0.1:6379 \(No node info found\)"),
        (None, r"no connection to 10.0.0.1:6379 \(Failed to connect\)"),
    ],
)
def test_why_there_is_no_connection(
    reason: str | None, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def ray(_: str | None) -> Iterator[clusters.Cluster]:
        error = ConnectionError("Failed to connect")
        raise error from None if reason is None else RuntimeError(reason)
        yield

    monkeypatch.setattr(clusters, "_ray", ray)
    spec = spec_at(tmp_path, workers={"backend": "ray", "address": "10.0.0.1:6379"})

    with pytest.raises(WorkerError, match=words), clusters.cluster_of(spec):
        pass

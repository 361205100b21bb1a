"""optuna-dashboard on a study: loopback only, a note per trial, the plot once."""

from __future__ import annotations

import json
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from sweeper.curves import Stop, StopReason
from sweeper.search.dashboard import attach_plot, note_trial, start_dashboard
from sweeper.search.outcomes import Result
from sweeper.search.store import StudyStore
from tests.search.fakes import spec_at

PNG = bytes.fromhex("89504e470d0a1a0a")
PATIENCE_S = 60


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def fetch(url: str) -> Any:
    """A JSON answer, waiting for the server to come up."""
    for _ in range(PATIENCE_S * 5):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return json.load(answer)
        except urllib.error.URLError:
            time.sleep(0.2)
    raise AssertionError(f"nobody answers at {url}")


def test_the_dashboard_shows_notes_and_the_plot(tmp_path: Path) -> None:
    spec = spec_at(tmp_path)
    store = StudyStore(spec, create=True)
    claim = store.claim("me")
    assert claim is not None
    result = Result(Stop(StopReason.COMPLETED, "went <well> | *really*"), 4.2, 4_000, 1.0)
    note_trial(store, claim, result)
    store.finish(claim, result)
    (tmp_path / "val_loss.png").write_bytes(PNG)
    attach_plot(store, tmp_path / "val_loss.png")
    attach_plot(store, tmp_path / "val_loss.png")  # the same picture is attached once
    port = free_port()

    process = start_dashboard(spec, port)
    try:
        study = fetch(f"http://127.0.0.1:{port}/api/studies/1?after=0")
        words = [*map(str, process.args)]  # type: ignore[union-attr]
    finally:
        process.terminate()
        process.wait(PATIENCE_S)

    assert "--host=127.0.0.1" in words
    assert not any("://" in word for word in words)  # a URL may hold a password
    assert [artifact["filename"] for artifact in study["artifacts"]] == ["val_loss.png"]
    trial = study["trials"][0]
    shown = {item["key"]: item["value"] for item in trial["user_attrs"]}
    assert shown["stop_reason"] == "completed"
    assert shown["baseline"] == "True"
    note = trial["note"]["body"]
    assert "**Baseline**" in note
    assert "4.2000 nats" in note
    assert "<well>" not in note  # markup is shown, never run

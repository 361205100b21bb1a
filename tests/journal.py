"""A journal of a storage that nobody but this process reads."""

from __future__ import annotations

import json
from typing import Any

from optuna.storages.journal import BaseJournalBackend


class Lines(BaseJournalBackend):
    """Keeps the entries as lines of JSON, as a file would."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._lines[log_number_from:]]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        self._lines += [json.dumps(entry) for entry in logs]

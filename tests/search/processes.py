"""What a test has another process do."""

from __future__ import annotations

import os

from sweeper.search.worker import WorkOrder, WorkReport


def report_processes(order: WorkOrder) -> WorkReport:
    """Train nothing, and say where that was."""
    threads = os.environ.get("OMP_NUM_THREADS")
    assert order.parent_pid is not None
    return WorkReport(f"{os.getpid()} under {order.parent_pid}, {threads} thread", 7)

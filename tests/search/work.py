"""Work that a test gives to workers, who train nothing."""

from __future__ import annotations

import os

from sweeper.search.workers.orders import WorkOrder, WorkReport
from sweeper.search.workers.outpost import Mission


def report_processes(order: WorkOrder) -> WorkReport:
    """Train nothing, and say where that was."""
    threads = os.environ.get("OMP_NUM_THREADS")
    assert order.parent_pid is not None
    return WorkReport(f"{os.getpid()} under {order.parent_pid}, {threads} thread", 7)


def report_mission(mission: Mission) -> WorkReport:
    """Train nothing, and say what for."""
    return WorkReport(f"would have worked on {mission.path}", 7)

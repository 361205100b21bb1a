"""What the process has loaded from which training processes are forked; importing it sets it up.

Nobody but that process imports this. It belongs to one supervisor: the kernel ends it with the
supervisor, and those that it has forked with it. What asks to leave is the supervisor's business,
though a terminal and Slurm signal every process.
"""

from __future__ import annotations

import signal

# A supervisor that loky started asks of its children that they know loky's way to start others.
import joblib.externals.loky.backend.context  # noqa: F401

from sweeper.search.workers.child import die_with_parent
from sweeper.search.workers.signals import LEAVING

die_with_parent()
for _number in LEAVING:  # inherited by what is forked
    signal.signal(_number, signal.SIG_IGN)

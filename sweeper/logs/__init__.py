"""Training logs of any make, read as curves: what was written, how it was understood, and what
was wrong with it. numpy only; knows nothing of studies.
"""

from sweeper.logs.log import ColumnUse, Log, LogOptions

__all__ = ["ColumnUse", "Log", "LogOptions"]

"""Training logs of any make, read as curves: what was written, how it was understood, and what
was wrong with it. numpy only; knows nothing of studies.
"""

from sweeper.logs.live import LiveReader
from sweeper.logs.log import ColumnUse, Log, LogOptions
from sweeper.logs.reading import FORMATS, read_log

__all__ = ["FORMATS", "ColumnUse", "LiveReader", "Log", "LogOptions", "read_log"]

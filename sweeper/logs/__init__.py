"""Training logs of any make, read as curves: what was written, how it was understood, and what
was wrong with it. numpy only; knows nothing of studies.

A log becomes a `Table` of cells by its own names, and a table becomes a `Log`:

- `reading` finds out the format, with `sources` (bytes to text) and `folders`; `csv_table`,
  `json_table`, `tensorboard` and `text_table` make the table. A new format of file goes there.
- Text is read line by line (`lines`): `pairs` finds numbers behind names, `line_forms` has the
  makes of line that are something else, `templates` makes repeated lines quick, and
  `printed_settings` reads hyperparameters. A new make of line goes into `line_forms`; `live`
  reads growing logs by them.
- `names` says what a name means; most new programs need no more than a word there.
- `runs` and `long_table` bring exports of several runs or of one metric a row into one run's
  table; `roles`, `cells`, `placeholders`, `times` and `timing` read its numbers, `order` sorts
  its rows out, and `assembly` builds the log.
"""

from sweeper.logs.live import LiveReader
from sweeper.logs.log import ColumnUse, Log, LogOptions
from sweeper.logs.reading import FORMATS, read_log

__all__ = ["FORMATS", "ColumnUse", "LiveReader", "Log", "LogOptions", "read_log"]

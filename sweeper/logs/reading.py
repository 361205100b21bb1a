"""Reads a log of any make."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO

from sweeper.errors import LogError
from sweeper.logs.assembly import build_log
from sweeper.logs.csv_table import find_delimiter, read_csv_table
from sweeper.logs.log import GUESS_ALL, Log, LogOptions
from sweeper.logs.text_table import read_text_table

FORMATS = ("csv", "jsonl", "trainer-state", "tensorboard", "text")


def read_log(
    path: Path | None, options: LogOptions = GUESS_ALL, *, stdin: BinaryIO | None = None
) -> Log:
    """Read the log of a run.

    Args:
        path: A file, a gzip of one, or a folder; None for standard input.
        options: What the user knows better than any guess.
        stdin: Where to read from without a path.

    Raises:
        LogError: It cannot be read or understood.
    """
    if path is None:
        source, raw = "stdin", (stdin or sys.stdin.buffer).read()
    else:
        source = path.name
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise LogError(f"{source}: cannot be read ({error.strerror})") from error
    text = raw.decode("utf-8-sig").replace("\r\n", "\n")
    delimiter = find_delimiter(text) if options.pattern is None else None
    if delimiter:
        return build_log(source, read_csv_table(source, text, delimiter), options)
    return build_log(source, read_text_table(source, text, options.pattern), options)

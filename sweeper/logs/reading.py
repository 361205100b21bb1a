"""Reads a log of any make: finds out which it is and hands it to that make's reader."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from sweeper.errors import LogError
from sweeper.logs.assembly import build_log
from sweeper.logs.csv_table import find_delimiter, read_csv_table
from sweeper.logs.folders import (
    ALLOWED_IN_FOLDERS,
    find_event_folder,
    find_log_file,
    read_trainer_folder,
)
from sweeper.logs.json_table import (
    looks_like_jsonl,
    read_document,
    read_document_table,
    read_jsonl_table,
)
from sweeper.logs.log import GUESS_ALL, Log, LogOptions
from sweeper.logs.roles import check_options
from sweeper.logs.sources import decode, unpack
from sweeper.logs.table import Table
from sweeper.logs.tensorboard import is_event_file, read_event_files
from sweeper.logs.text_table import read_text_table

CSV, JSONL, TRAINER_STATE, TENSORBOARD, TEXT = (
    "csv",
    "jsonl",
    "trainer-state",
    "tensorboard",
    "text",
)
FORMATS = (CSV, JSONL, TRAINER_STATE, TENSORBOARD, TEXT)


def read_log(
    path: Path | None, options: LogOptions = GUESS_ALL, *, stdin: BinaryIO | None = None
) -> Log:
    """Read the log of a run.

    Args:
        path: A file, a gzip of one, or a folder; None for standard input. Folders may be a
            sweeper trial's, a Hugging Face trainer's output or checkpoint, TensorBoard's, or a
            Lightning CSV logger's.
        options: What the user knows better than any guess.
        stdin: Where to read from without a path; the process's own by default.

    Raises:
        LogError: It cannot be read or understood; with the line, the value, what is allowed and
            the flag that helps.
    """
    check_options(options)
    if options.format is not None and options.format not in FORMATS:
        raise LogError(f"--format {options.format}: no such format (allowed: {', '.join(FORMATS)})")
    with _collector_at_rest():
        if path is None:
            source, raw = "stdin", (stdin or sys.stdin.buffer).read()
            return build_log(source, _read_bytes(source, raw, options), options)
        source = path.name or str(path)
        return build_log(source, _read_path(source, path, options), options)


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Python's collector would walk a million rows again and again, and find no cycle in them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _read_path(source: str, path: Path, options: LogOptions) -> Table:
    try:
        if path.is_dir():
            return _read_folder(source, path, options)
        if options.format == TENSORBOARD or (options.format is None and is_event_file(path)):
            return read_event_files(source, path)
        return _read_bytes(source, path.read_bytes(), options)
    except OSError as error:
        raise LogError(f"{source}: cannot be read ({error.strerror or error})") from error


def _read_folder(source: str, folder: Path, options: LogOptions) -> Table:
    file = find_log_file(folder)
    if file is not None and options.format in (None, CSV, JSONL):
        return _read_bytes(source, file.read_bytes(), options)
    if options.format in (None, TRAINER_STATE):
        state = read_trainer_folder(source, folder)
        if state is not None:
            return state
    events = find_event_folder(folder) if options.format in (None, TENSORBOARD) else None
    if events is not None:
        return read_event_files(source, events)
    raise LogError(
        f"{source}: a folder without a log (allowed: {ALLOWED_IN_FOLDERS}; a log "
        "by another name can be named itself)"
    )


def _read_bytes(source: str, raw: bytes, options: LogOptions) -> Table:
    raw, packed = unpack(source, raw)
    text, decoded = decode(source, raw)
    table = _read_text(source, text, options)
    return replace(table, notes=(*packed, *decoded, *table.notes))


def _read_text(source: str, text: str, options: LogOptions) -> Table:
    wanted = TEXT if options.pattern is not None else options.format
    if wanted in (None, JSONL, TRAINER_STATE) and text.lstrip()[:1] in ("{", "["):
        table = _read_json(source, text, wanted)
        if table is not None:
            return table
    if wanted in (JSONL, TRAINER_STATE):
        raise LogError(
            f"{source}: no JSON, which --format {wanted} asks for (without it the format is found)"
        )
    delimiter = find_delimiter(text) if wanted in (None, CSV) else None
    if delimiter is not None or wanted == CSV:
        return read_csv_table(source, text, delimiter)
    return read_text_table(source, text, options)


def _read_json(source: str, text: str, wanted: str | None) -> Table | None:
    document = read_document(text)
    if document is not None:
        return read_document_table(source, document)
    if wanted == JSONL or looks_like_jsonl(text):
        return read_jsonl_table(source, text)
    return None

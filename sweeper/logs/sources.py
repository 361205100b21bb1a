"""From a file's bytes to text, whatever was done to it: packed, cut off, damaged in places."""

from __future__ import annotations

import re
import zlib

from sweeper.errors import LogError
from sweeper.files import find_encoding

_GZIP = b"\x1f\x8b"
_GZIP_BITS = 31  # zlib's way of asking for gzip
_SAMPLE_BYTES = 65_536
_MANY_CONTROLS = 0.05  # of the bytes: no text then
_CONTROLS = re.compile(rb"[\x01-\x08\x0e-\x1a\x1c-\x1f\x7f]")


def unpack(source: str, raw: bytes) -> tuple[bytes, tuple[str, ...]]:
    """The content of a gzip, as far as it can be read, or the bytes as they are.

    Raises:
        LogError: It is damaged from the start.
    """
    if not raw.startswith(_GZIP):
        return raw, ()
    content, rest = b"", raw
    notes: tuple[str, ...] = ()
    while rest.startswith(_GZIP):  # a gzip may consist of several
        machine = zlib.decompressobj(_GZIP_BITS)
        part, rest, error = _decompress(machine, rest)
        content += part
        if error or not machine.eof:
            why = error or "its end is missing"
            notes = (f"the gzip is damaged ({why}): what could be read was",)
            break
    if not content and notes:
        raise LogError(f"{source}: {notes[0].split(':')[0]}; nothing in it can be read")
    return content, notes


def _decompress(machine: zlib._Decompress, raw: bytes) -> tuple[bytes, bytes, str]:
    """Content, what follows it, and an error: a damaged block does not take others along."""
    parts: list[bytes] = []
    for start in range(0, len(raw), _SAMPLE_BYTES):
        end = start + _SAMPLE_BYTES
        try:
            parts.append(machine.decompress(raw[start:end]))
        except zlib.error as error:
            return b"".join(parts), b"", str(error)
        if machine.eof:
            return b"".join(parts), machine.unused_data + raw[end:], ""
    return b"".join(parts), b"", ""


def decode(source: str, raw: bytes) -> tuple[str, tuple[str, ...]]:
    r"""The text of a log, newlines as `\n`, and what had to be guessed.

    Raises:
        LogError: It is empty, or no text.
    """
    if not raw.strip():
        raise LogError(f"{source}: is empty (allowed: a log with at least one loss)")
    mark, encoding = find_encoding(raw)
    body = raw[len(mark) :]
    notes: list[str] = []
    if encoding == "utf-8":
        body = _without_nuls(source, body, notes)
    text = _decoded(body, encoding, notes)
    return text.replace("\ufeff", "").replace("\r\n", "\n"), tuple(notes)


def _without_nuls(source: str, body: bytes, notes: list[str]) -> bytes:
    """A crash can leave stretches of NUL in a log; more than that is no text."""
    sample = body.replace(b"\0", b"")[:_SAMPLE_BYTES]
    if not sample or len(_CONTROLS.findall(sample)) > _MANY_CONTROLS * len(sample):
        raise LogError(
            f"{source}: is no text but binary data (allowed: text, a gzip of it, or TensorBoard "
            "event files, whose names have tfevents in them; --format tensorboard says so)"
        )
    nul = body.find(b"\0")
    if nul < 0:
        return body
    line = body.count(b"\n", 0, nul) + 1
    notes.append(f"line {line}: {body.count(0):,} NUL bytes left out (a crash while writing?)")
    return body.replace(b"\0", b"")


def _decoded(body: bytes, encoding: str, notes: list[str]) -> str:
    try:
        return body.decode(encoding)
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
    fallback = "latin-1" if encoding == "utf-8" else encoding
    notes.append(
        f"line {line}: not valid {encoding.upper()}, read as "
        f"{'Latin-1' if fallback == 'latin-1' else 'far as possible'}"
    )
    return body.decode(fallback, "replace")

"""From a file's bytes to text: which encoding it is in, and where it is damaged."""

from __future__ import annotations

from dataclasses import dataclass

from sweeper.errors import DataError
from sweeper.files import find_encoding

_SURROGATE_ESCAPE = 0xDC00
"""`surrogateescape` decodes the stray byte 0xE9 to U+DCE9."""


@dataclass(frozen=True)
class Decoded:
    """A file's text with newlines as `\\n`, and what had to be guessed."""

    text: str
    warnings: tuple[str, ...] = ()


def decode(raw: bytes, name: str) -> Decoded:
    """Decodes UTF-8, UTF-16 and UTF-32, and repairs stray bytes of Windows-1252.

    Args:
        raw: The file's bytes.
        name: How messages call the file.

    Raises:
        DataError: The bytes are damaged or no text; with the first bad byte's offset.
    """
    mark, encoding = find_encoding(raw)
    body = raw[len(mark) :]
    if encoding == "utf-8":
        text, warnings = _decode_utf8(body, name, len(mark))
    else:
        text, warnings = _decode_wide(body, encoding, name, len(mark)), ()
    # A byte order mark inside the text is the seam of files that were concatenated.
    text = text.replace("\ufeff", "").replace("\r\n", "\n").replace("\r", "\n")
    return Decoded(text, warnings)


def _decode_wide(body: bytes, encoding: str, name: str, mark_bytes: int) -> str:
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}: damaged {encoding.upper()} at byte offset {mark_bytes + error.start} "
            f"({error.reason}); save the file again as UTF-8"
        ) from error
    nul = text.find("\0")
    if nul >= 0:
        raise _nul_error(
            name, mark_bytes + len(text[:nul].encode(encoding)), text.count("\n", 0, nul)
        )
    return text


def _decode_utf8(body: bytes, name: str, mark_bytes: int) -> tuple[str, tuple[str, ...]]:
    nul = body.find(b"\0")
    if nul >= 0:
        raise _nul_error(name, mark_bytes + nul, body.count(b"\n", 0, nul))
    try:
        return body.decode("utf-8"), ()
    except UnicodeDecodeError as error:
        offset, line = mark_bytes + error.start, body.count(b"\n", 0, error.start) + 1
    text = body.decode("utf-8", "surrogateescape")
    text, num_stray_bytes = _read_stray_bytes(text, name)
    return text, (
        f"{name}: not all of it is UTF-8; read {num_stray_bytes:,} bytes as Windows-1252 "
        f"(Latin-1), the first at byte offset {offset} (line {line}); "
        f"save the file as UTF-8 if those characters look wrong",
    )


def _read_stray_bytes(text: str, name: str) -> tuple[str, int]:
    """Reads the bytes that UTF-8 rejects one by one, so that mixed files come out right."""
    num_stray_bytes, characters = 0, {}
    for byte in range(0x80, 0x100):
        escape = chr(_SURROGATE_ESCAPE + byte)
        count = text.count(escape)
        if not count:
            continue
        try:
            characters[ord(escape)] = bytes([byte]).decode("cp1252")
        except UnicodeDecodeError as error:
            before = text[: text.find(escape)]
            offset = len(before.encode("utf-8", "surrogateescape"))
            raise DataError(
                f"{name}: byte 0x{byte:02X} at byte offset {offset} (line "
                f"{before.count(chr(10)) + 1}) is neither UTF-8 nor Windows-1252; convert the file "
                f"to UTF-8, for example with `iconv -f ENCODING -t UTF-8`"
            ) from error
        num_stray_bytes += count
    return text.translate(characters), num_stray_bytes


def _nul_error(name: str, offset: int, newlines_before: int) -> DataError:
    return DataError(
        f"{name}: NUL at byte offset {offset} (line {newlines_before + 1}); the file is not plain "
        f"text, or damaged there: save it as UTF-8 text without NUL"
    )

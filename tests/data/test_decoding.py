"""Files as they come: encodings, damage, line ends."""

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from sweeper.data import read_corpus
from sweeper.errors import DataError

TEXT = "Grüße aus Köln, a long enough line of Western text.\nAnd a second one."


def read_bytes(folder: Path, raw: bytes) -> tuple[str, tuple[str, ...]]:
    (folder / "a.txt").write_bytes(raw)
    corpus = read_corpus("a.txt", folder)
    return "\n\n".join(document.text for document in corpus.documents), corpus.warnings


@pytest.mark.parametrize(
    "raw",
    [
        TEXT.encode(),
        codecs.BOM_UTF8 + TEXT.encode(),
        codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"),
        codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"),
        codecs.BOM_UTF32_LE + TEXT.encode("utf-32-le"),
        codecs.BOM_UTF32_BE + TEXT.encode("utf-32-be"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        TEXT.replace("\n", "\r\n").encode(),
        TEXT.replace("\n", "\r").encode(),
        TEXT.encode().replace(b"And", codecs.BOM_UTF8 + b"And"),
    ],
    ids=[
        *("utf-8", "utf-8-mark", "utf-16-le-mark", "utf-16-be-mark", "utf-32-le-mark"),
        *("utf-32-be-mark", "utf-16-le", "utf-16-be", "crlf", "cr", "mark-inside"),
    ],
)
def test_every_unicode_encoding_gives_the_same_text(tmp_path: Path, raw: bytes) -> None:
    assert read_bytes(tmp_path, raw) == (TEXT, ())


def test_latin_1_is_read_with_a_warning_that_names_the_first_byte(tmp_path: Path) -> None:
    text, warnings = read_bytes(tmp_path, b"plain\n" + TEXT.encode("latin-1"))
    assert text == "plain\n" + TEXT
    assert warnings == (
        "a.txt: not all of it is UTF-8; read 3 bytes as Windows-1252 (Latin-1), the first at byte "
        "offset 8 (line 2); save the file as UTF-8 if those characters look wrong",
    )


def test_offsets_count_the_byte_order_mark(tmp_path: Path) -> None:
    _, warnings = read_bytes(tmp_path, codecs.BOM_UTF8 + b"K\xf6ln")
    assert "the first at byte offset 4 (line 1)" in warnings[0]


def test_a_file_of_two_encodings_keeps_both_right(tmp_path: Path) -> None:
    text, warnings = read_bytes(tmp_path, "日本 Köln ".encode() + "Köln 5 €".encode("cp1252"))
    assert text == "日本 Köln Köln 5 €"
    assert "read 2 bytes as Windows-1252" in warnings[0]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"one\ntwo\0three", "a.txt: NUL at byte offset 7 (line 2); the file is not plain text"),
        (codecs.BOM_UTF8 + b"a\0", "a.txt: NUL at byte offset 4 (line 1)"),
        (
            codecs.BOM_UTF16_LE + "ab\n\0".encode("utf-16-le"),
            "a.txt: NUL at byte offset 8 (line 2)",
        ),
        (codecs.BOM_UTF16_LE + b"a\0b", "a.txt: damaged UTF-16-LE at byte offset 4"),
        (
            b"ok \xe9 \x81",
            "a.txt: byte 0x81 at byte offset 5 (line 1) is neither UTF-8 nor Windows-1252; convert",
        ),
        (b"", "a.txt: the file has no text (0 bytes); give a file with text"),
        (b" \r\n\t\n", "a.txt: the file has no text (5 bytes)"),
        (codecs.BOM_UTF8, "a.txt: the file has no text (3 bytes)"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path: Path, raw: bytes, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_bytes(tmp_path, raw)
    assert str(caught.value).startswith(message)

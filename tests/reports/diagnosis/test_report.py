"""The files of a diagnosis."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sweeper.errors import StorageError
from sweeper.reports.diagnosis.report import markdown_report, write_report

from . import fakes


def test_four_files_are_written_and_the_page_holds_its_figure(tmp_path: Path) -> None:
    paths = write_report(fakes.full(), tmp_path / "new" / "folder")
    names = {path.name for path in (tmp_path / "new" / "folder").iterdir()}
    assert names == {"report.html", "report.md", "diagnosis.json", "curve.png"}
    assert {path.name for path in paths.all} == names
    assert json.loads(paths.json.read_text(encoding="utf-8"))["points"] == 8
    assert "](curve.png)" in paths.markdown.read_text(encoding="utf-8")
    assert "data:image/png;base64" in paths.html.read_text(encoding="utf-8")


def test_the_same_diagnosis_gives_the_same_files_over_old_ones(tmp_path: Path) -> None:
    (tmp_path / "report.md").write_text("old", encoding="utf-8")
    first = [path.read_bytes() for path in write_report(fakes.full(), tmp_path).all]
    assert [path.read_bytes() for path in write_report(fakes.full(), tmp_path).all] == first
    assert str(tmp_path).encode() not in b"".join(first)


def test_the_text_alone_refers_to_no_figure() -> None:
    assert "curve.png" not in markdown_report(fakes.full())


def test_a_folder_that_cannot_be_made_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file", encoding="utf-8")
    with pytest.raises(StorageError, match="taken"):
        write_report(fakes.full(), tmp_path / "taken")

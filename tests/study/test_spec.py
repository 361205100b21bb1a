"""Names and folders of a study."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sweeper.study import StudySpec


def study(name: str, **more: object) -> StudySpec:
    return StudySpec.model_validate(
        {
            "name": name,
            "model": "builtin:tiny",
            "data": {"train": "builtin:pydoc-qa"},
            "budget": {"trials": 1, "tokens_per_trial": "1M"},
            "space": {"rank": [4, 8]},
            **more,
        }
    )


@pytest.mark.parametrize("name", ["plateau", "a", "a.b_c-d", "7", "x" * 60])
def test_safe_name_is_its_folder(name: str) -> None:
    assert study(name).folder_name == name


@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("Plateau", "plateau-"),
        ("a b", "a-b-"),
        ("../etc", "etc-"),
        ("..", "study-"),
        (".", "study-"),
        ("a/b", "a-b-"),
        ("日本", "study-"),
        ("x" * 61, "x" * 51 + "-"),
        ("-rf", "rf-"),
        ("a.", "a-"),
    ],
)
def test_other_name_gets_a_hash(name: str, start: str) -> None:
    assert re.fullmatch(re.escape(start) + "[0-9a-f]{8}", study(name).folder_name)


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=200))
@settings(deadline=None, derandomize=True)
def test_folder_names_are_safe(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9]([a-z0-9._-]{0,58}[a-z0-9])?", study(name).folder_name)


@pytest.mark.parametrize("name", ["", " a", "a ", "a\nb", "a\0", "x" * 201, "\ud800", 5, None])
def test_name_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        study(name)


@pytest.mark.parametrize(
    ("path", "output", "folder"),
    [
        ("studies/p.yaml", None, "reports/s"),
        ("a/studies/p.yaml", None, "a/reports/s"),
        ("mine/p.yaml", None, "mine/reports/s"),
        ("p.yaml", None, "reports/s"),
        ("studies/p.yaml", "out", "studies/out/s"),
        ("studies/p.yaml", "/out", "/out/s"),
    ],
)
def test_output_folder(
    path: str, output: str | None, folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert study("s", output=output).at(Path(path)).output_folder == Path(folder)


def test_output_folder_from_within_studies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "studies").mkdir()
    monkeypatch.chdir(tmp_path / "studies")
    folder = study("s").at(Path("p.yaml")).output_folder
    assert folder.resolve() == (tmp_path / "reports" / "s").resolve()

"""Secrets in the environment and in a storage's URL stay where they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sweeper.errors import StudyFileError
from sweeper.search.runner import run_study
from sweeper.study import load_study
from tests.search.test_command_studies import PLAIN

SECRET = "hunter2-tell-nobody"
SCRIPT = """
import os
assert os.environ["HF_TOKEN"]  # a script may need what its user has set
print("step 1: val loss 2.0")
print("step 100: val loss 1.0")
"""


def write_study(folder: Path, **changes: Any) -> Path:
    """A study of a script of the user's own."""
    (folder / "training.py").write_text(SCRIPT)
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(PLAIN | changes))
    return path


def test_nothing_of_the_environment_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "SWEEPER_TEST_SECRET"):
        monkeypatch.setenv(name, SECRET)
    spec = load_study(write_study(tmp_path))

    run_study(spec, observe=lambda _: None, tell=lambda *_: None)

    written = [path for path in spec.output_folder.rglob("*") if path.is_file()]
    assert {"manifest.json", "output.log", "study.db"} <= {path.name for path in written}
    assert [path.name for path in written if SECRET.encode() in path.read_bytes()] == []


@pytest.mark.parametrize("url", ["postgresql:/user:{}@host/db", "post gres://user:{}@host/db"])
def test_a_storage_that_is_no_url_is_refused_without_being_quoted(tmp_path: Path, url: str) -> None:
    with pytest.raises(StudyFileError, match="storage: cannot use what stands here") as caught:
        load_study(write_study(tmp_path, storage=url.format(SECRET)))
    assert SECRET not in str(caught.value)

"""Where a study may keep its artifacts, and what is said of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from sweeper.errors import StudyFileError
from sweeper.study import identity, load_study
from sweeper.study.artifacts_place import bucket_and_prefix

STUDY = """\
name: small
budget: {trials: 2, tokens_per_trial: 400k}
engine: {command: python train.py}
space: {batch_size: [4, 8]}
storage: postgresql://host/db
"""


def study(folder: Path, more: str = "") -> Path:
    path = folder / "study.yaml"
    path.write_text(STUDY + more)
    (folder / "train.py").touch()
    return path


@pytest.mark.parametrize(
    "place", ["s3://bucket", "s3://my-bucket/a/b_c", "./folder", "/mnt/all", "shared/x", "null"]
)
def test_a_bucket_or_a_folder_and_the_study_is_the_same(place: str, tmp_path: Path) -> None:
    spec = load_study(study(tmp_path, f"artifacts: {place}\n"))
    assert spec.artifacts == (None if place == "null" else place)
    assert identity(spec) == identity(load_study(study(tmp_path)))


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("s3://", "cannot use the text 's3://'"),
        ("s3://bucket/../other bucket", "cannot use the text"),
        ("s3://KEY:SECRET@bucket", "cannot use what stands here"),
        ("gs://bucket", "cannot use the text 'gs://bucket'"),
        ("5", "expected a text, got the number 5"),
    ],
)
def test_what_it_cannot_be_is_said_with_line_and_column(
    place: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(StudyFileError) as caught:
        load_study(study(tmp_path, f"artifacts: {place}\n"))
    text = str(caught.value)
    assert f"study.yaml:6:12  artifacts: {said}" in text
    assert "s3://BUCKET/PREFIX" in text
    assert "SECRET" not in text


def test_a_database_in_the_studys_folder_is_not_for_workers_elsewhere(tmp_path: Path) -> None:
    path = study(tmp_path, "artifacts: s3://bucket\n")
    with pytest.raises(StudyFileError, match="artifacts: workers elsewhere cannot see"):
        load_study(path, ["storage=default"])


def test_the_parts_of_an_address() -> None:
    assert bucket_and_prefix("s3://bucket") == ("bucket", "")
    assert bucket_and_prefix("s3://bucket/a/b/") == ("bucket", "a/b")
    assert bucket_and_prefix("./folder") is None

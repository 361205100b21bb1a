"""The place of a study's archives: a folder or a bucket, by way of Optuna's artifact stores."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from optuna.artifacts import Boto3ArtifactStore, FileSystemArtifactStore
from optuna.artifacts.exceptions import ArtifactNotFound

from sweeper.files import sync_file, sync_folder
from sweeper.search.artifacts.bucket import open_bucket, words_of
from sweeper.study import StudySpec
from sweeper.study.artifacts_place import bucket_and_prefix


class PlaceAway(Exception):
    """The place cannot be reached, or does not let us in; it may later."""


class NotThere(Exception):
    """The place has no archive of this name."""


class Place:
    """Where archives are, by their names.

    Args:
        name: As the study says it.
        store: Optuna's.
        prefix: Before every name, with what separates them.
        errors: What the store raises where it cannot be reached.
    """

    def __init__(
        self,
        name: str,
        store: FileSystemArtifactStore | Boto3ArtifactStore,
        prefix: str,
        errors: tuple[type[Exception], ...],
    ) -> None:
        self._name = name
        self._store = store
        self._prefix = prefix
        self._errors = errors

    def put(self, name: str, content: IO[bytes]) -> None:
        """Keep an archive.

        Raises:
            PlaceAway: It could not be kept whole.
        """
        with self._reached():
            self._store.write(self._prefix + name, content)  # type: ignore[arg-type]

    def get(self, name: str, target: IO[bytes], most_bytes: int) -> None:
        """Copy an archive to a file, and no more of it than there should be and a byte.

        Raises:
            NotThere: There is none of this name.
            PlaceAway: It cannot be read now.
        """
        with self._reached():
            source = self._store.open_reader(self._prefix + name)
            try:
                left = most_bytes + 1
                while left > 0 and (chunk := source.read(min(left, 1 << 20))):
                    target.write(chunk)
                    left -= len(chunk)
            finally:
                source.close()

    def remove(self, name: str) -> bool:
        """Forget an archive; False where it cannot be forgotten now, and is in nobody's way."""
        try:
            with suppress(NotThere), self._reached():
                self._store.remove(self._prefix + name)
        except PlaceAway:
            return False
        return True

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except ArtifactNotFound as error:
            raise NotThere from error
        except self._errors as error:
            raise PlaceAway(f"{self._name}: {_words(error)}") from error


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return words_of(error)


def open_place(spec: StudySpec) -> Place | None:
    """The place that a study names; None where it names none.

    Raises:
        StorageError: S3's client is not installed, or told what it cannot use.
    """
    if spec.artifacts is None:
        return None
    parts = bucket_and_prefix(spec.artifacts)
    if parts is None:
        folder = _Folder(spec.folder / spec.artifacts, spec.folder_name)
        return Place(spec.artifacts, folder, "", (OSError,))
    bucket, prefix = parts
    store, errors = open_bucket(bucket)
    prefix = "/".join(filter(None, (prefix, spec.folder_name))) + "/"
    return Place(spec.artifacts, store, prefix, errors)


class _Folder(FileSystemArtifactStore):
    """A folder for each study in one that is there: what is not mounted is not made."""

    def __init__(self, base: Path, study: str) -> None:
        super().__init__(base / study)
        self._folder = base / study

    def write(self, artifact_id: str, content_body: Any) -> None:
        self._folder.mkdir(exist_ok=True)
        path = self._folder / artifact_id
        try:
            with path.open("wb") as file:
                shutil.copyfileobj(content_body, file)
            sync_file(path)
        except BaseException:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            raise
        sync_folder(self._folder)

    def open_reader(self, artifact_id: str) -> Any:
        self._folder.parent.stat()  # else a folder that is not mounted would say: not found
        return super().open_reader(artifact_id)

"""The place of a storage: which kind it is, and where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from sweeper.study.storage_url import without_password

Kind = Literal["sqlite", "postgresql", "grpc", "journal"]


@dataclass(frozen=True, repr=False)
class Address:
    """Where a storage is.

    Attributes:
        kind: What answers there.
        url: With the password, if it has one: never shown.
    """

    kind: Kind
    url: str

    @classmethod
    def read(cls, text: str, folder: Path) -> Address:
        """The address that a study file names.

        Args:
            text: As the study file has it, but for `default`.
            folder: From which relative paths go.
        """
        kind, found, rest = text.partition("://")
        if not found:
            return cls("journal", f"journal:///{folder / text}")
        match kind:
            case "sqlite" | "journal":
                return cls(kind, f"{kind}:///{folder / rest.removeprefix('/')}")
            case "grpc":
                return cls("grpc", text)
            case _:
                # Optuna's own default driver is another one in each version of SQLAlchemy.
                return cls("postgresql", f"postgresql+psycopg://{rest}")

    @property
    def path(self) -> Path:
        """The file of SQLite or of the journal."""
        return Path(self.url.partition(":///")[2].partition("?")[0])

    @property
    def host(self) -> str:
        """Of the proxy."""
        return urlsplit(self.url).hostname or ""

    @property
    def port(self) -> int:
        """Of the proxy."""
        return urlsplit(self.url).port or 0

    @property
    def is_remote(self) -> bool:
        """Whether a server answers, which may be away for a while."""
        return self.kind in ("postgresql", "grpc")

    def __str__(self) -> str:
        """For people: a file's name and its folder's, or the URL without its password."""
        if self.is_remote:
            return without_password(self.url.replace("+psycopg", "", 1))
        return f"{self.path.parent.name}/{self.path.name}"

    def __repr__(self) -> str:
        return f"Address({self})"

"""Where what trials leave behind is kept for workers elsewhere, as a study file says it."""

from __future__ import annotations

import re

ALLOWED = "s3://BUCKET, s3://BUCKET/PREFIX, or a folder; keys belong in AWS's own variables"
_S3 = r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[A-Za-z0-9!_.*'()=-]+)*)/?"
PATTERN = rf"{_S3}|(?!\w+://).+"


def bucket_and_prefix(text: str) -> tuple[str, str] | None:
    """The two parts of an S3 address, the prefix without slashes at its ends; None for a folder."""
    match = re.fullmatch(_S3, text)
    return None if match is None else (match[1], match[2].strip("/"))

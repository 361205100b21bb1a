"""Where a study may be stored, as its file says it; no password of it is ever shown."""

from __future__ import annotations

import re

ALLOWED = (
    "default, sqlite:///FILE, postgresql://USER@HOST/DATABASE, grpc://HOST:PORT, "
    "journal:///FILE, or a file that ends in .log"
)
PATTERN = "|".join(
    (
        r"default",
        r"sqlite:///\S.*",
        r"postgresql(?:\+psycopg)?://\S+",
        r"grpc://[^\s/:@]+:[0-9]{1,5}",
        r"journal:///\S.*",
        r"[^\s:][^:]*\.log",
    )
)
_PASSWORDS = (
    re.compile(r"(?<=://)([^/@:\s]*):\S*(?=@)"),
    re.compile(r"([?&]password)=[^&\s]*", re.IGNORECASE),
)


def without_password(text: str) -> str:
    """A text with the password of every URL in it replaced by stars."""
    for pattern, stars in zip(_PASSWORDS, (r"\1:***", r"\1=***"), strict=True):
        text = pattern.sub(stars, text)
    return text

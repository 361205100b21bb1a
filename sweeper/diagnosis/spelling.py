"""Values as a study file and a shell read them back, and texts that cannot break a line."""

from __future__ import annotations

import re
import textwrap
from decimal import Decimal

import yaml

from sweeper.study.yaml12 import compose

_WIDTH = 98
_PLAIN = re.compile(r"[A-Za-z0-9./](?:[A-Za-z0-9 ._/+-]|:(?=[A-Za-z]))*")


def printable(text: object) -> str:
    """The text in one line, without what could steer a terminal or end a comment."""
    kept = "".join(c if c.isprintable() else " " for c in str(text))
    return " ".join(kept.split())


def number_text(value: int | float) -> str:
    """The shortest text of a number that reads back to the same: `2e-5`, `0.1`, `256`."""
    if isinstance(value, int) or not 0 < abs(value) < 0.01:
        return repr(value)
    _, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    fraction = "".join(map(str, digits[1:]))
    sign = "-" if value < 0 else ""
    power = int(exponent) + len(digits) - 1
    return f"{sign}{digits[0]}{'.' if fraction else ''}{fraction}e{power}"


def value_text(value: object) -> str:
    """A hyperparameter's value in YAML."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return number_text(value)
    return text_in_yaml(str(value))


def text_in_yaml(text: str) -> str:
    """A text as a YAML scalar, in quotes only where it would be read as something else."""
    if _PLAIN.fullmatch(text) and "  " not in text:
        node = compose(f"key: {text}")
        if isinstance(node, yaml.MappingNode):
            value = node.value[0][1]
            if value.tag.endswith(":str") and value.value == text:
                return text
    quoted: str = yaml.safe_dump(
        text, default_style='"', allow_unicode=True, width=float("inf")
    ).strip()
    return quoted


def mapping_text(values: dict[str, str]) -> str:
    """A mapping of names to YAML values in one line."""
    return "{" + ", ".join(f"{name}: {text}" for name, text in values.items()) + "}"


def variable_text(value: object) -> str:
    """A value as a script reads it from an environment variable."""
    if value is None:
        return ""
    return number_text(value) if isinstance(value, (int, float)) else str(value)


def tokens_text(count: int) -> str:
    """A count of tokens: `240k`, `10.24M`; in full where two decimals do not hold it."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size and count % (size // 100) == 0:
            return f"{(Decimal(count) / size).normalize():f}{unit}"
    return str(count)


def comment(text: str, indent: int = 0) -> list[str]:
    """A text as comment lines of a readable width."""
    prefix = " " * indent + "# "
    lines = textwrap.wrap(
        printable(text), width=_WIDTH - indent, break_long_words=False, break_on_hyphens=False
    )
    return [prefix + line for line in lines]

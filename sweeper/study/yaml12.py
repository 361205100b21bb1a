"""A YAML loader that reads plain scalars by the YAML 1.2 core schema.

PyYAML follows YAML 1.1, in which `2e-5` is a text, `on` is true, `012` is ten and `1:30` is
ninety. Source: https://yaml.org/spec/1.2.2/#103-core-schema
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml
from yaml.composer import ComposerError

DEEPEST = 50
MOST_NODES = 10_000

_CORE = "tag:yaml.org,2002:"
_SCALARS = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    "float": (
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
}
_PATTERNS = {name: re.compile(rf"(?:{text})\Z") for name, (text, _) in _SCALARS.items()}


class Yaml12Loader(yaml.SafeLoader):
    """Composes nodes whose plain scalars have YAML 1.2 types; limits depth and size."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0
        self._num_nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose one node.

        Raises:
            ComposerError: The document is deeper or larger than any study.
        """
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        self._depth += 1
        self._num_nodes += 1
        if self._depth > DEEPEST:
            raise ComposerError(None, None, f"nested deeper than {DEEPEST} levels", mark)
        if self._num_nodes > MOST_NODES:
            raise ComposerError(None, None, f"more than {MOST_NODES} values", mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


Yaml12Loader.yaml_implicit_resolvers = {}  # none of YAML 1.1's
for _name, (_, _first) in _SCALARS.items():
    Yaml12Loader.add_implicit_resolver(_CORE + _name, _PATTERNS[_name], _first)


def compose(text: str) -> yaml.Node | None:
    """The node tree of the one document in the text; None where there is none.

    Raises:
        yaml.YAMLError: The text is not one YAML document of a sane size.
    """
    loader = Yaml12Loader(text)
    try:
        node: yaml.Node | None = loader.get_single_node()
        return node
    finally:
        loader.dispose()


def scalar_value(node: yaml.ScalarNode) -> object:
    """The Python value of a scalar.

    Raises:
        ValueError: Its tag is not one of the core schema's, or does not suit the text.
    """
    kind = node.tag.removeprefix(_CORE)
    if kind == "str":
        return node.value
    if kind not in _PATTERNS:
        raise ValueError(_unsupported(node))
    if not _PATTERNS[kind].match(node.value):
        raise ValueError(f"{node.value!r} is no {kind} (allowed: values without a tag)")
    if kind == "null":
        return None
    if kind == "bool":
        return node.value.lower() == "true"
    return _whole(node.value) if kind == "int" else _real(node.value)


def check_collection_tag(node: yaml.Node) -> None:
    """Refuse a list or mapping that a tag would turn into something else.

    Raises:
        ValueError: The tag is not that of a plain list or mapping.
    """
    expected = "map" if isinstance(node, yaml.MappingNode) else "seq"
    if node.tag != _CORE + expected:
        raise ValueError(_unsupported(node))


def _unsupported(node: yaml.Node) -> str:
    tag = node.tag.replace(_CORE, "!!")
    return f"the tag {tag} is not supported (allowed: values without a tag)"


def _whole(text: str) -> int:
    bases = {"0o": 8, "0x": 16}
    base = bases.get(text[:2], 10)
    digits = text if base == 10 else text[2:]
    if len(digits) > 1_000:
        raise ValueError(f"a number of {len(digits)} digits is too long (allowed: at most 1000)")
    return int(digits, base)


def _real(text: str) -> float:
    word = text.lower().lstrip("+-")
    if word == ".nan":
        return math.nan
    if word == ".inf":
        return -math.inf if text.startswith("-") else math.inf
    return float(text)

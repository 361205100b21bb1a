"""As much of JSON Schema 2020-12 as the schema of a study uses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_HANDLED = {
    "type", "enum", "const", "anyOf", "$ref", "properties", "required", "additionalProperties",
    "items", "minItems", "uniqueItems", "minProperties", "pattern", "minLength", "maxLength",
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
    "title", "description", "default", "examples", "$schema", "$defs",
}  # fmt: skip


def violations(schema: dict[str, Any], value: object, root: dict[str, Any]) -> Iterator[str]:
    """What in the value the schema does not allow."""
    unhandled = set(schema) - _HANDLED
    assert not unhandled, unhandled
    if "$ref" in schema:
        definition = root["$defs"][schema["$ref"].removeprefix("#/$defs/")]
        yield from violations(definition, value, root)
    if "anyOf" in schema and not any(
        not list(violations(part, value, root)) for part in schema["anyOf"]
    ):
        yield f"{value!r} fits no part of anyOf"
    if "type" in schema and not _is(value, schema["type"]):
        yield f"{value!r} is no {schema['type']}"
        return
    if value not in schema.get("enum", [value]) or value != schema.get("const", value):
        yield f"{value!r} is not a choice"
    if isinstance(value, dict):
        yield from _in_object(schema, value, root)
    elif isinstance(value, list):
        yield from _in_array(schema, value, root)
    else:
        yield from _in_scalar(schema, value)


def _is(value: object, name: str) -> bool:
    boolean = isinstance(value, bool)
    return isinstance(value, _TYPES[name]) and boolean == (name == "boolean")


def _in_object(
    schema: dict[str, Any], value: dict[str, object], root: dict[str, Any]
) -> Iterator[str]:
    properties = schema.get("properties", {})
    for key in set(schema.get("required", [])) - set(value):
        yield f"{key} is missing"
    if len(value) < schema.get("minProperties", 0):
        yield "too few keys"
    for key, part in value.items():
        if key in properties:
            yield from violations(properties[key], part, root)
        elif schema.get("additionalProperties", True) is False:
            yield f"{key} is unknown"


def _in_array(schema: dict[str, Any], value: list[object], root: dict[str, Any]) -> Iterator[str]:
    if len(value) < schema.get("minItems", 0):
        yield "too few items"
    if schema.get("uniqueItems") and len({repr(item) for item in value}) < len(value):
        yield "an item twice"
    for item in value:
        yield from violations(schema.get("items", {}), item, root)


def _in_scalar(schema: dict[str, Any], value: object) -> Iterator[str]:
    if isinstance(value, str):
        if not re.search(schema.get("pattern", ""), value):
            yield f"{value!r} does not match"
        if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
            yield f"{value!r} has the wrong length"
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        low, above = schema.get("minimum", value), schema.get("exclusiveMinimum")
        high, below = schema.get("maximum", value), schema.get("exclusiveMaximum")
        if not low <= value <= high or (above is not None and value <= above):
            yield f"{value!r} is out of range"
        if below is not None and value >= below:
            yield f"{value!r} is out of range"

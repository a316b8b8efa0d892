"""The JSON Schema of the event stream, made from the event classes.

`localagent/docs/events.schema.json` is the published copy; `scripts/update-docs` writes it.
"""

from __future__ import annotations

import inspect
import types
from dataclasses import MISSING, fields
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from localagent.core.events import EVENTS_VERSION, TYPES

_NAMES: dict[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
    object: "",
}


def event_schema() -> dict[str, Any]:
    """The schema of one line of the stream, as JSON Schema 2020-12.

    A reader must accept more fields and more types of events, so the schema forbids no field.
    """
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:localagent:events:{EVENTS_VERSION}",
        "title": f"localagent events, version {EVENTS_VERSION}",
        "description": "One line of `localagent run --json`, or of a transcript's export.",
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in TYPES],
        "$defs": {name: _object(name, cls) for name, cls in TYPES.items()},
    }


def _object(name: str, cls: type) -> dict[str, Any]:
    """The schema of one type of event. A field with a default may be missing in old streams."""
    hints = get_type_hints(cls)
    listed = fields(cls)
    needed = [f.name for f in listed if f.default is MISSING and f.default_factory is MISSING]
    properties = {f.name: value_schema(hints[f.name]) for f in listed}
    return {
        "description": " ".join(inspect.cleandoc(cls.__doc__ or "").split()),
        "type": "object",
        "properties": {"type": {"const": name}, **properties},
        "required": ["type", *needed],
    }


def value_schema(hint: Any) -> dict[str, Any]:
    """The schema of a field with the type `hint`. Raises TypeError for a type without a schema."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return {"enum": list(parts)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [value_schema(part) for part in parts]}
    if origin is list:
        return {"type": "array", "items": value_schema(parts[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": value_schema(parts[1])}
    if hint not in _NAMES:
        raise TypeError(f"no schema for {hint!r}")
    return {"type": _NAMES[hint]} if _NAMES[hint] else {}

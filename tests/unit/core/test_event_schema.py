"""The published schema is that of the event classes, and every event fits it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from localagent.core.event_schema import event_schema, value_schema
from localagent.core.events import EVENTS_VERSION, TYPES, SessionStarted, to_dict

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = json.loads((ROOT / "localagent/docs/events.schema.json").read_text(encoding="utf-8"))
TYPE_OF = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
    "array": list,
    "object": dict,
}


def misfits(schema: dict[str, Any], value: Any, where: str = "") -> Iterator[str]:
    """What of `value` does not fit, by the keywords of JSON Schema that the schema uses."""
    rest = set(schema) - {"description", "title", "$schema", "$id", "$defs"}
    assert rest <= {
        *("oneOf", "anyOf", "$ref", "type", "const", "enum"),
        *("properties", "required", "items", "additionalProperties"),
    }
    if "$ref" in schema:
        yield from misfits(SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")], value, where)
    if "oneOf" in schema and sum(not [*misfits(s, value)] for s in schema["oneOf"]) != 1:
        yield f"{where}: not one of the types"
    if "anyOf" in schema and all([*misfits(s, value)] for s in schema["anyOf"]):
        yield f"{where}: none of the alternatives"
    if "type" in schema:
        fits = isinstance(value, TYPE_OF[schema["type"]])  # type: ignore[arg-type]
        if not fits or (isinstance(value, bool) and schema["type"] != "boolean"):
            yield f"{where}: no {schema['type']}"
            return
    if value not in schema.get("enum", [value]) or value != schema.get("const", value):
        yield f"{where}: another value"
    if isinstance(value, dict):
        yield from (f"{where}.{n}: missing" for n in schema.get("required", ()) if n not in value)
        known = schema.get("properties", {})
        for name, item in value.items():
            inner = known.get(name, schema.get("additionalProperties", {}))
            yield from misfits(inner, item, f"{where}.{name}")
    for item in value if isinstance(value, list) else ():
        yield from misfits(schema.get("items", {}), item, f"{where}[]")


def sample(schema: dict[str, Any]) -> Any:
    """A value that fits the schema of a field."""
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return sample(schema["anyOf"][0])
    filled = {"array": lambda: [sample(schema["items"])], "number": lambda: 0.5}
    filled["object"] = lambda: {"key": sample(schema["additionalProperties"])}
    kind = schema.get("type", "string")
    return filled.get(kind, lambda: {"string": "text", "integer": 1, "boolean": True}[kind])()


def test_the_published_schema_is_that_of_the_classes() -> None:
    assert event_schema() == SCHEMA, "run scripts/update-docs"
    assert SCHEMA["$id"] == f"urn:localagent:events:{EVENTS_VERSION}"
    started = SessionStarted("s", "/w", "m", "", "react", "none", "0", False)
    assert to_dict(started)["events"] == EVENTS_VERSION


@pytest.mark.parametrize("name", TYPES)
def test_every_event_fits(name: str) -> None:
    cls = TYPES[name]
    values = {key: sample(value_schema(hint)) for key, hint in get_type_hints(cls).items()}
    written = json.loads(json.dumps(to_dict(cls(**values))))
    assert [*misfits(SCHEMA, written)] == []
    assert [*misfits(SCHEMA, written | {"field_of_a_later_release": 1})] == []
    for key in SCHEMA["$defs"][name]["required"]:
        assert [*misfits(SCHEMA, {k: v for k, v in written.items() if k != key})]
    for field in fields(cls):
        assert [*misfits(SCHEMA, written | {field.name: {"no": {"such": []}}})] or field.type in (
            "dict[str, object]",
        )


def test_recorded_streams_fit() -> None:
    lines = [
        json.loads(line)
        for path in sorted((ROOT / "tests/golden/recordings").glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    assert len(lines) > 100
    assert [fault for line in lines for fault in misfits(SCHEMA, line)] == []


def test_a_type_without_a_schema_is_refused() -> None:
    with pytest.raises(TypeError, match="no schema"):
        value_schema(bytes)

"""The arguments of tools, checked: what the model wrote becomes values, or a ToolError that says
what would be right."""

from __future__ import annotations

import re
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from localagent.core.errors import ToolError

Arguments = TypeVar("Arguments", bound="ToolArguments")


class ToolArguments(BaseModel):
    """The base of each tool's arguments: unknown ones are refused, blanks around are taken off."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("path", "function", "pattern", "lines", mode="before", check_fields=False)
    @classmethod
    def _strip(cls, value: object) -> object:
        return value.strip("\n") if isinstance(value, str) else value


def parse(model: type[Arguments], tool: str, raw: dict[str, str]) -> Arguments:
    """`raw` as the arguments of `tool`. Raises ToolError."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    usage = ", ".join(_described(model))
    if first["type"] == "extra_forbidden":
        raise ToolError(f"{tool} has no argument {name[:40]!r}; it takes {usage}")
    if first["type"] == "missing":
        what = "needs a body in its block" if name == "body" else f"needs {name}"
        raise ToolError(f"{tool} {what}; it takes {usage}")
    message = re.sub(r"^Value error, ", "", first["msg"])
    raise ToolError(f"{tool}: {name}: {message}")


def _described(model: type[ToolArguments]) -> list[str]:
    """The arguments for a person to read: "path", "lines (optional)", "a body"."""
    return [
        ("a body" if name == "body" else name) + ("" if field.is_required() else " (optional)")
        for name, field in model.model_fields.items()
    ]


def line_range(text: str) -> tuple[int, int | None] | None:
    """The lines meant by "10-40", "10", "10-", "-40", "10:40" or "L10-L40"; None for all of them.

    The last line is included; None stands for the end. Raises ValueError.
    """
    bare = re.sub(r"(?i)lines?|L(?=\d)|\s", "", text).strip("[]()")
    if not bare or bare.lower() in ("all", "-", "*", "none"):
        return None
    found = re.fullmatch(r"(\d*)(?:(?:-|:|,|\.\.+|–|to)(\d*|end))?", bare)
    if found is None:
        raise ValueError('write a range such as "10-40"')
    first = max(1, int(found.group(1) or 1))
    if found.group(2) is None:
        return first, first
    last = int(found.group(2)) if found.group(2).isdigit() else None
    if last is not None and last < first:
        raise ValueError(f'the last line comes before the first; write "{last}-{first}"')
    return first, last

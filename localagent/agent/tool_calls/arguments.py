"""Arguments in the info string or the body of a fenced block."""

from __future__ import annotations

import re

from localagent.agent.tool_calls.aliases import ARGUMENT_ALIASES, BODIES, POSITIONAL, strings
from localagent.agent.tool_calls.lenient_json import loads

_PAIR = re.compile(
    r"""(?P<key>[A-Za-z_]\w*)\s*=\s*
        (?P<value>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`|.*?(?=\s+[A-Za-z_]\w*\s*=|$))\s*""",
    re.VERBOSE | re.DOTALL,
)
_LABEL = re.compile(r"^\s*([A-Za-z_]\w*)\s*[:=]\s*(.*?)\s*$")


def info_arguments(name: str, rest: str) -> dict[str, str]:
    """The arguments in an info string: pairs, a JSON object, or one value without a name."""
    rest = rest.strip()
    if rest.startswith("{"):
        try:
            value = loads(rest)
        except ValueError:
            value = None
        if isinstance(value, dict):
            return strings(value)
    if rest.startswith("(") and rest.endswith(")"):
        rest = rest[1:-1].replace(",", " ")
    pairs = pairs_of(rest)
    before = rest[: _first_pair(rest)].strip()
    key = POSITIONAL.get(name, "body" if name in BODIES else "")
    if before and key and key not in pairs and not before.startswith("-"):
        pairs[key] = unquoted(before)
    return pairs


def _first_pair(text: str) -> int:
    found = re.search(r"(?:^|\s)[A-Za-z_]\w*\s*=", text)
    return found.start() if found else len(text)


def pairs_of(text: str) -> dict[str, str]:
    """The `key=value` pairs of `text`; a value without quotes reaches to the next key."""
    start = _first_pair(text)
    result: dict[str, str] = {}
    for found in _PAIR.finditer(text, start):
        result.setdefault(found["key"], unquoted(found["value"].strip()))
    return result


def unquoted(value: str) -> str:
    """A value without its quotes. Other backslashes stay: a pattern is full of them."""
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'`":
        quote = value[0]
        return value[1:-1].replace("\\" + quote, quote)
    return value


def path_from_body(body: str, arguments: dict[str, str]) -> str:
    """Take the path out of the body's first line ("path: src/new.py"); returns the rest."""
    first, _, rest = body.partition("\n")
    label = _LABEL.match(first)
    if label and ARGUMENT_ALIASES.get(label[1].lower(), label[1].lower()) == "path":
        arguments["path"] = unquoted(label[2])
        return rest.removeprefix("---\n")
    return body


def body_arguments(name: str, body: str) -> dict[str, str]:
    """Arguments that were written into the body of a tool that has none."""
    bare = body.strip()
    if bare.startswith("{"):
        try:
            value = loads(bare)
        except ValueError:
            return {}
        return strings(value) if isinstance(value, dict) else {}
    lines = [line for line in bare.split("\n") if line.strip()]
    labels = [_LABEL.match(line) for line in lines]
    if all(labels):
        if len(lines) == 1 and "=" in lines[0]:
            return pairs_of(lines[0])
        return {label[1]: unquoted(label[2]) for label in labels if label}
    return {POSITIONAL[name]: unquoted(bare)} if len(lines) == 1 else {}

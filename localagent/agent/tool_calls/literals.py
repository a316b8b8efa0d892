"""Reads calls that are written like Python's (LFM2), and those of Gemma 4."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from typing import Any

from localagent.agent.tool_calls.aliases import (
    CallMatch,
    canonical,
    cut_off,
    native_match,
    shared_places,
)
from localagent.tools.base import ToolSpecs

_LIST = re.compile(
    r"(?:(?P<mark><\|tool_call_start\|>|\[TOOL_CALLS\])\s*|(?<=\s)|\A)\[(?=\s*[A-Za-z_][\w.]*\()"
)
_LIST_END = re.compile(r"\s*<\|tool_call_end\|>")
_GEMMA = re.compile(r"(?:<\|tool_call>\s*|\b)call:\s*(?P<name>[\w.-]+)\s*(?=\{)")
_GEMMA_END = re.compile(r"\s*<tool_call\|>")
_QUOTE = '<|"|>'
_MAX_CHARS = 400_000


def python_calls(text: str, tools: ToolSpecs) -> Iterator[CallMatch]:
    """Calls in a list such as `[read(path="a.py")]`, with or without the markers of LFM2."""
    end = 0
    for match in _LIST.finditer(text):
        if match.start() < end:
            continue
        start = match.end() - 1
        stop = _list_end(text, start)
        if stop is None:
            if match["mark"]:
                end = len(text)
                yield CallMatch(match.start(), end, None, cut_off("call"), native=True)
            continue
        calls = _calls(text[start:stop])
        if not calls or not (match["mark"] or all(canonical(n, tools) in tools for n, _ in calls)):
            continue
        closing = _LIST_END.match(text, stop)
        end = closing.end() if closing else stop
        places = shared_places(match.start(), end, len(calls))
        for place, (name, arguments) in zip(places, calls, strict=True):
            named = _with_names(name, arguments, tools)
            yield native_match(place, name, named, text[start:stop], tools)


def _with_names(name: str, arguments: dict[str, Any], tools: ToolSpecs) -> dict[str, Any]:
    """The arguments with the name of a positional one, which is ""."""
    spec = tools.get(canonical(name, tools))
    if "" not in arguments or spec is None:
        return arguments
    return {spec.positional or "body": arguments.pop(""), **arguments}


def _list_end(text: str, start: int) -> int | None:
    """The position after the list that opens at `start`; None if it does not end."""
    depth, quote, escaped = 0, "", False
    for position in range(start, min(len(text), start + _MAX_CHARS)):
        character = text[position]
        if quote:
            if escaped or character == "\\":
                escaped = not escaped
            elif character == quote:
                quote = ""
        elif character in "\"'":
            quote = character
        elif character in "[({":
            depth += 1
        elif character in "])}":
            depth -= 1
            if depth == 0:
                return position + 1
    return None


def _calls(text: str) -> list[tuple[str, dict[str, Any]]]:
    """The names and arguments of a list of calls; [] if the text is anything else."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(_on_one_line(text), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    if not isinstance(tree, ast.List):
        return []
    result = []
    for call in tree.elts:
        if not isinstance(call, ast.Call) or len(call.args) > 1:
            return []
        try:
            arguments = {key.arg or "": ast.literal_eval(key.value) for key in call.keywords}
            arguments.update(("", ast.literal_eval(each)) for each in call.args)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            return []
        result.append((ast.unparse(call.func), arguments))
    return result


def _on_one_line(text: str) -> str:
    """The text with the line breaks inside of its strings as escapes."""
    strings_of = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'", re.DOTALL)
    return strings_of.sub(lambda match: match[0].replace("\r", "\\r").replace("\n", "\\n"), text)


def gemma_calls(text: str, tools: ToolSpecs) -> Iterator[CallMatch]:
    """Gemma's calls: `<|tool_call>call:read{path:<|"|>a.py<|"|>}<tool_call|>`."""
    end = 0
    for match in _GEMMA.finditer(text):
        known = canonical(match["name"], tools) in tools
        marked = match.group().startswith("<")
        if match.start() < end or not (marked or known):
            continue
        reader = _GemmaReader(text, match.end())
        try:
            arguments = reader.mapping()
        except ValueError:
            end = len(text)
            yield CallMatch(match.start(), end, None, cut_off(match["name"]), native=True)
            continue
        closing = _GEMMA_END.match(text, reader.position)
        end = closing.end() if closing else reader.position
        raw = text[match.start() : end]
        named = _with_names(match["name"], arguments, tools)
        yield native_match((match.start(), end), match["name"], named, raw, tools)


class _GemmaReader:
    """Reads the values of a Gemma call. Raises ValueError where one does not end."""

    def __init__(self, text: str, position: int) -> None:
        self.position = position
        self._text = text
        self._depth = 0

    def mapping(self) -> dict[str, Any]:
        """A mapping in braces, whose keys need no quotes."""
        result: dict[str, Any] = {}
        self._expect("{")
        while not self._accept("}"):
            key = self._string() if self._at_quote() else self._word(":")
            self._expect(":")
            result[key] = self._value()
            self._accept(",")
        return result

    def _value(self) -> Any:
        self._skip()
        self._depth += 1
        if self._depth > 50:
            raise ValueError("too deep")
        try:
            if self._at_quote():
                return self._string()
            if self._text.startswith("{", self.position):
                return self.mapping()
            if self._accept("["):
                items = []
                while not self._accept("]"):
                    items.append(self._value())
                    self._accept(",")
                return items
            word = self._word(",}]")
            return {"true": True, "false": False, "null": None}.get(word, word)
        finally:
            self._depth -= 1

    def _at_quote(self) -> bool:
        self._skip()
        return self._text.startswith((_QUOTE, '"'), self.position)

    def _string(self) -> str:
        if self._text.startswith(_QUOTE, self.position):
            start = self.position + len(_QUOTE)
            end = self._text.index(_QUOTE, start)
            self.position = end + len(_QUOTE)
            return self._text[start:end]
        found = re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL).match(self._text, self.position)
        if not found:
            raise ValueError("a text without an end")
        self.position = found.end()
        try:
            return str(ast.literal_eval(_on_one_line(found.group())))
        except SyntaxError:
            raise ValueError("not a text") from None

    def _word(self, ends: str) -> str:
        found = re.compile(rf"[^{re.escape(ends)}]+(?=[{re.escape(ends)}])").match(
            self._text, self.position
        )
        if not found:
            raise ValueError("a value without an end")
        self.position = found.end()
        return found.group().strip()

    def _skip(self) -> None:
        while self._text[self.position : self.position + 1].isspace():
            self.position += 1

    def _accept(self, character: str) -> bool:
        self._skip()
        if not self._text.startswith(character, self.position):
            return False
        self.position += 1
        return True

    def _expect(self, character: str) -> None:
        if not self._accept(character):
            raise ValueError(f"no {character}")

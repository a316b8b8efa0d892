"""Syntax checks of a text: by the language's parser, or by grammar errors that an edit adds."""

from __future__ import annotations

import json
import tomllib
import warnings
from pathlib import PurePosixPath

from localagent.code.cache import faults_of
from localagent.code.languages import language_of

# JSON files that customarily contain comments.
_RELAXED_JSON = ("tsconfig", "jsconfig", "devcontainer", ".eslintrc", ".babelrc", "api-extractor")
# Most characters to parse: parsing takes about a second a megabyte.
_MAX_CHARS = 4_000_000


def syntax_error(path: str, text: str) -> str | None:
    """The syntax error of `text` ("line 3: invalid syntax: def f(:"), or None.

    Checks Python, JSON and TOML files, by the suffix of `path`. Other files give None.
    """
    if len(text) > _MAX_CHARS:
        return None
    check = _CHECKS.get(language_of(path).name)
    return check(path, text) if check else None


def added_fault(path: str, before: str, after: str) -> str | None:
    """The first syntax error in `after` that is not in `before`, or None.

    For languages that `syntax_error` does not check. A grammar does not know a program's macros, so
    a new file in C or C++ is never checked.
    """
    language = language_of(path)
    if not language.can("grammar_check") or (not before.strip() and language.has_macros):
        return None
    found = faults_of(path, after.encode("utf-8", "replace"))
    if not found or len(found) <= len(faults_of(path, before.encode("utf-8", "replace"))):
        return None
    old = set(before.split("\n"))
    lines = after.split("\n")
    first = next((f for f in found if lines[f.line - 1 : f.line] and lines[f.line - 1] not in old),
                 found[0])  # fmt: skip
    return f"line {first.line}: {first.message}"


def _python(_path: str, text: str) -> str | None:
    try:
        with warnings.catch_warnings():
            # The compiler warns about "\\d" in a plain string, but this is not a syntax error.
            warnings.simplefilter("ignore")
            compile(text, "<edit>", "exec", dont_inherit=True)
    except SyntaxError as error:
        shown = (error.text or "").strip()
        return f"line {error.lineno or 1}: {error.msg}" + (f": {shown[:80]}" if shown else "")
    except ValueError as error:
        return f"line 1: {error}"  # a zero byte, or a lone surrogate
    except (RecursionError, MemoryError, OverflowError):
        return "line 1: too deeply nested"
    return None


def _json(path: str, text: str) -> str | None:
    name = PurePosixPath(path)
    if name.name.startswith(_RELAXED_JSON) or ".vscode" in name.parts:
        return None
    try:
        json.loads(text.removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        return f"line {error.lineno}: {error.msg}"
    except RecursionError:
        return "line 1: too deeply nested"
    except ValueError as error:  # a number with more digits than Python converts
        return f"line 1: {error}"
    return None


def _toml(_path: str, text: str) -> str | None:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        reason, _, place = message.rpartition(" (at ")
        line = place.removeprefix("line ").split(",")[0]
        return f"line {line}: {reason}" if line.isdigit() else f"line 1: {message}"
    except RecursionError:
        return "line 1: too deeply nested"
    except ValueError as error:
        return f"line 1: {error}"
    return None


_CHECKS = {"python": _python, "json": _json, "toml": _toml}

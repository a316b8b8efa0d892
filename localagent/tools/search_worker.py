"""Searches files for a pattern, as a process of its own.

Python's `re` can take exponential time for a model's pattern, and a thread inside `re` cannot be
stopped. So `search` runs this file as a script, and kills the process when its time is up. The
script imports only the standard library.

Input: one JSON object with `root`, `files`, `pattern`, `literal`, `ignore_case`, `max_hits` and
`max_bytes` (both for each file). Output: a JSON line `[file, hits, [[line, text], …], sha256]` for
each file with hits, and last `{"files": searched, "skipped": too large}`. A pattern that does not
compile gives `{"error": …}`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from typing import Any

_MAX_TEXT = 300


def main() -> None:
    """Read the request, and write the hits of each file as soon as the file is searched."""
    request = json.loads(sys.stdin.buffer.read())
    out = sys.stdout
    flags = re.MULTILINE | (re.IGNORECASE if request["ignore_case"] else 0)
    pattern = re.escape(request["pattern"]) if request["literal"] else request["pattern"]
    try:
        compiled = re.compile(pattern, flags)
    except (re.error, OverflowError, RecursionError) as error:
        out.write(json.dumps({"error": str(error)}) + "\n")
        return
    searched = skipped = 0
    for name in request["files"]:
        data = _data(request["root"], name, request["max_bytes"])
        if data is None:
            skipped += 1
            continue
        searched += 1
        text = data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
        found = _hits(compiled, text, request["max_hits"])
        if found[1]:
            out.write(json.dumps([name, *found, hashlib.sha256(data).hexdigest()]) + "\n")
            out.flush()
    out.write(json.dumps({"files": searched, "skipped": skipped}) + "\n")


def _data(root: str, name: str, max_bytes: int) -> bytes | None:
    """The bytes of a text file; None for a large, binary or unreadable file, and for a link."""
    try:
        with open(_opened(root, name), "rb") as file:
            data = file.read(max_bytes + 1)
    except OSError:
        return None
    if len(data) > max_bytes or b"\0" in data[:8000]:
        return None
    return data


def _opened(root: str, name: str) -> int:
    """A copy of `workspace._opened`, which a process without localagent's modules cannot import."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if os.open not in os.supports_dir_fd:
        return os.open(os.path.join(root, name), flags)  # noqa: PTH118
    flags |= os.O_NOFOLLOW
    *folders, last = name.split("/")
    folder = os.open(root, flags | os.O_DIRECTORY)
    try:
        for part in folders:
            below = os.open(part, flags | os.O_DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = below
        return os.open(last, flags, dir_fd=folder)
    finally:
        os.close(folder)


def _hits(compiled: re.Pattern[str], text: str, max_hits: int) -> tuple[int, list[Any]]:
    """The number of lines in which matches begin, and the first of these lines."""
    total = 0
    line = 1
    at = 0
    last = 0
    shown: list[Any] = []
    for match in compiled.finditer(text):
        if match.start() == len(text) and match.group() == "":
            break  # skip an empty match after the last line
        line += text.count("\n", at, match.start())
        at = match.start()
        if line == last:
            continue
        last = line
        total += 1
        if len(shown) < max_hits:
            start = text.rfind("\n", 0, at) + 1
            end = text.find("\n", at)
            whole = text[start : end if end != -1 else len(text)]
            offset = max(0, at - start - _MAX_TEXT // 2)
            shown.append([line, whole[offset : offset + _MAX_TEXT]])
    return total, shown


if __name__ == "__main__":
    main()

"""The problem that a search solves: one file to change, and what the model is shown for it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from localagent.agent.turn import Turn
from localagent.agent.verify import CheckResult
from localagent.edits.textfile import TextFile, decode, is_binary
from localagent.errors import UsageError
from localagent.index.kinds import is_docs, is_test
from localagent.messages import Message

_LANGUAGES = {
    ".py": "python",
    ".js": "javascript",
    ".ts": "typescript",
    ".go": "go",
    ".rs": "rust",
    ".java": "java",
    ".c": "c",
    ".h": "c",
    ".cpp": "cpp",
    ".sh": "bash",
    ".rb": "ruby",
    ".json": "json",
    ".toml": "toml",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".md": "markdown",
    ".html": "html",
    ".css": "css",
    ".sql": "sql",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One file to change.

    `old` is the file as it is, None for a new one. `start` is the check's result on the workspace
    as it is, None without a check. `beside` are the paths shown beside the file, most useful first.
    """

    path: str
    old: TextFile | None
    start: CheckResult | None
    check: str
    beside: tuple[str, ...]

    @property
    def text(self) -> str:
        """The file's current text; empty for a new file."""
        return self.old.text if self.old else ""

    @property
    def language(self) -> str:
        """The info string of a code fence for this file."""
        return language(self.path)


def language(path: str) -> str:
    """The info string of a code fence for `path`; empty where it is not known."""
    return _LANGUAGES.get(PurePosixPath(path).suffix.lower(), "")


def open_file(turn: Turn, path: str) -> TextFile | None:
    """The workspace's file at `path`, or None where there is none yet.

    Raises UsageError for what is no text file.
    """
    workspace = turn.services.workspace
    if not workspace.exists(path):
        return None
    if workspace.path(path).is_dir():
        raise UsageError(f"{path} is a folder", "name a file")
    data = workspace.read_bytes(path)
    if is_binary(data):
        raise UsageError(f"{path} is a binary file; localagent edits text files only")
    return decode(data)


def fenced(path: str, text: str) -> str:
    """A file as the model is shown it: its path and a fence longer than any inside it."""
    longest = max((len(m) for m in re.findall(r"^`{3,}", text, re.M)), default=2)
    fence = "`" * max(3, longest + 1)
    return f"`{path}`:\n{fence}{language(path)}\n{text.rstrip()}\n{fence}"


def context_messages(turn: Turn, problem: Problem, *, with_code: bool = True) -> list[Message]:
    """The part of the prompt that all proposals for this problem share, byte for byte.

    What does not fit two thirds of the window is clipped, the least useful first, and says so.
    """
    prompts = turn.services.prompts
    window = turn.services.model.info.profile.window
    budget = window * 2 // 3 - turn.services.model.count(turn.prompt) - 150
    shown: list[str] = []
    if problem.old is not None and with_code:
        shown.append(fenced(problem.path, problem.text))
    budget -= sum(turn.services.model.count(text) for text in shown)
    beside: list[str] = []
    for path in problem.beside:
        text = open_text(turn, path)
        part = clip(turn, fenced(path, text), budget)
        if part:
            beside.append(part)
            budget -= turn.services.model.count(part)
    # The file itself comes last, nearest to the reply that has to replace it.
    system = Message("system", prompts.text("workflow/system"))
    user = prompts.render(
        "workflow/context",
        task=turn.prompt.strip(),
        files="\n\n".join([*beside, *shown]),
        failures=failures(problem.start),
    )
    return [system, Message("user", user)]


def open_text(turn: Turn, path: str) -> str:
    """The text of a file that is only shown; empty where it is missing or no text."""
    workspace = turn.services.workspace
    if not workspace.exists(path) or workspace.path(path).is_dir():
        return ""
    data = workspace.read_bytes(path)
    return "" if is_binary(data) else decode(data).text


def clip(turn: Turn, text: str, tokens: int) -> str:
    """`text` cut at a line so that it holds at most `tokens`, with a line that says so."""
    count = turn.services.model.count
    if count(text) <= tokens:
        return text
    if tokens < 80:
        return ""
    lines = text.splitlines()
    low, high = 0, len(lines)
    while low < high:  # the most lines that fit
        middle = (low + high + 1) // 2
        if count("\n".join(lines[:middle])) <= tokens - 20:
            low = middle
        else:
            high = middle - 1
    if low < 4:
        return ""
    return "\n".join([*lines[:low], f"… ({len(lines) - low} more lines are not shown)", "```"])


def failures(result: CheckResult | None, limit: int = 3) -> str:
    """The failing tests' messages, at most `limit`, short; empty where nothing fails."""
    if result is None or result.ok:
        return ""
    failing = result.failing
    if not failing:
        return "\n".join(result.output.splitlines()[-15:])[:1200]
    parts = [f"{t.id.split('::')[-1]}: {_first_lines(t.message)}" for t in failing[:limit]]
    return "\n".join(dict.fromkeys(parts))


def _first_lines(message: str) -> str:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    return " | ".join(lines[:3])[:300]


def beside_paths(path: str, named: Sequence[str], start: CheckResult | None) -> tuple[str, ...]:
    """What to show beside `path`: named prose, then tests that fail or are named, then the rest."""
    tests = [t.id.split("::")[0] for t in (start.failing if start else ())]
    others = [*(p for p in named if is_docs(p)), *(p for p in named if is_test(p)), *tests, *named]
    return tuple(p for p in dict.fromkeys(others) if p != path)

"""The problem that a search solves: one file to change, and what the model is shown for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from localagent.agent.checks.failure_messages import condensed
from localagent.agent.checks.runner import CheckResult
from localagent.agent.turn import Turn
from localagent.code.file_kinds import is_docs, is_test
from localagent.code.languages import fence_info
from localagent.code.symbols import Symbol
from localagent.context.builder import text_of
from localagent.context.excerpt import excerpt, fenced
from localagent.core.errors import UsageError
from localagent.core.messages import Message
from localagent.edits.textfile import TextFile, decode, is_binary, sha256

OWN_SHARE = 0.75
"""Of what there is room for, for a file that is too long to be shown whole; the rest is for tests
and prose."""

PASSAGES = 50


@dataclass(frozen=True, slots=True)
class Problem:
    """One file to change.

    `old` is the file as it is, None for a new one. `start` is the check's result on the workspace
    as it is, None without a check. `beside` are the paths shown beside the file, most useful first.
    `lean`: candidates may be checked without plug-ins (see `agent.lean_check`).
    """

    path: str
    old: TextFile | None
    start: CheckResult | None
    check: str
    beside: tuple[str, ...]
    lean: bool = False

    @property
    def text(self) -> str:
        """The file's current text; empty for a new file."""
        return self.old.text if self.old else ""

    @property
    def language(self) -> str:
        """The info string of a code fence for this file."""
        return fence_info(self.path)


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
    turn.record_read(path, sha256(data))
    return decode(data)


def context_messages(
    turn: Turn, problem: Problem, *, focus: Sequence[Symbol] = ()
) -> list[Message]:
    """The part of the prompt that all proposals for this problem share, byte for byte.

    What does not fit two thirds of the window is left out, the least useful first, and says so; of
    a file that is too long, the definitions in `focus` stay.
    """
    prompts = turn.services.prompts
    count = turn.services.model.count
    window = turn.services.model.info.profile.window
    rules = turn.services.with_rules(prompts.text("workflow/system"))
    if of_folder := turn.folder_rules(problem.path):
        turn.ledger.record_text("rules", of_folder)
        rules = f"{rules}\n\n{of_folder}"
    budget = window * 2 // 3 - count(turn.prompt) - count(rules) - 80
    shown: list[str] = []
    if problem.old is not None:
        shown.append(_own_code(turn, problem, focus, budget))
    budget -= sum(count(text) for text in shown)
    beside: list[str] = []
    for path in problem.beside:
        text = text_of(turn.services.workspace, path, turn.record_read)
        part = clip(turn, fenced(path, text), budget)
        if part:
            beside.append(part)
            budget -= count(part)
    for text in (*beside, *shown):
        turn.ledger.record_text("code", text)
    turn.ledger.record_text("failing tests", failures(problem.start))
    # The file itself comes last, nearest to the reply that has to replace it.
    system = Message("system", rules)
    user = prompts.render(
        "workflow/context",
        task=turn.prompt.strip(),
        files="\n\n".join([*beside, *shown]),
        failures=failures(problem.start),
    )
    return [system, Message("user", user)]


def _own_code(turn: Turn, problem: Problem, focus: Sequence[Symbol], budget: int) -> str:
    """The file to change: whole, or of a long one what is in `focus` and then what the task and the
    failures are about."""
    whole = fenced(problem.path, problem.text)
    count = turn.services.model.count
    if count(whole) <= budget:
        return whole
    index = turn.services.index
    wanted = [(s.line, s.end_line) for s in focus]
    query = f"{turn.prompt}\n{failures(problem.start)}"
    passages = index.passages(query, PASSAGES)
    wanted += [(p.line, p.end_line) for p in passages if p.path == problem.path]
    tokens = int(budget * OWN_SHARE)
    symbols = index.symbols(problem.path)
    return excerpt(problem.path, problem.text, symbols, wanted, tokens, count)[0]


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
    parts = [f"{t.id.split('::')[-1]}: {condensed(t.message)}" for t in failing[:limit]]
    return "\n".join(dict.fromkeys(parts))


def beside_paths(path: str, named: Sequence[str], start: CheckResult | None) -> tuple[str, ...]:
    """What to show beside `path`: named prose, then tests that fail or are named, then the rest."""
    tests = [t.id.split("::")[0] for t in (start.failing if start else ())]
    others = [*(p for p in named if is_docs(p)), *(p for p in named if is_test(p)), *tests, *named]
    return tuple(p for p in dict.fromkeys(others) if p != path)

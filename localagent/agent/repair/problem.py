"""The problem that a search solves: one file to change, and the prompt that describes the task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from localagent.agent.checks.failure_messages import condense
from localagent.agent.checks.forks import Forks
from localagent.agent.checks.runner import CheckResult
from localagent.agent.limits import SEARCH
from localagent.agent.repair.suspects import suspicion
from localagent.agent.turn import Turn
from localagent.agent.word_overlap import by_share, words
from localagent.code.file_kinds import is_docs, is_test
from localagent.code.languages import Language, fence_info, language_of
from localagent.code.symbols import Symbol
from localagent.context.builder import text_of
from localagent.context.excerpt import code_block, excerpt, most_that_fit
from localagent.context.test_cases import condense_tests
from localagent.core.changes import Change
from localagent.core.errors import RefusedError, UsageError
from localagent.core.messages import Message
from localagent.edits.textfile import TextFile, decode, is_binary, sha256

_Function = TypeVar("_Function")


@dataclass(frozen=True, slots=True)
class Problem:
    """One file to change, with what the search knows about the file and its check.

    `old` is the current file, None for a new file. `start` is the check's result on the unchanged
    workspace, None without a check. `neighbors` are paths of other files in the prompt, the most
    useful first. `lean` says that candidates may be checked without pytest's plug-ins; see
    `checks.baseline`. `forks` judges many small changes at once, None where it cannot. `functions`
    are the file's functions that may be at fault, the most suspicious first; see
    `localize.suspects`. `others` are changes of other files, with which `start` was run.
    """

    path: str
    old: TextFile | None
    start: CheckResult | None
    check: str
    neighbors: tuple[str, ...]
    lean: bool = False
    forks: Forks | None = None
    functions: tuple[str, ...] = ()
    others: tuple[Change, ...] = ()

    def place_of(self, name: str) -> int:
        """The place of a function among `functions`, by its unqualified name; after them if new."""
        last = name.rpartition(".")[2]
        names = [each.rpartition(".")[2] for each in self.functions]
        return names.index(last) if last in names else len(names)

    @property
    def text(self) -> str:
        """The file's current text; empty for a new file."""
        return self.old.text if self.old else ""

    @property
    def language(self) -> Language:
        """The file's language, which lists what the harness can do with the file."""
        return language_of(self.path)

    @property
    def has_forks(self) -> bool:
        """Whether forks judge small changes, so that a change costs hundredths of a second."""
        return self.forks is not None and self.forks.running is not None

    @property
    def fence(self) -> str:
        """The line that opens a code fence for this file."""
        return f"```{fence_info(self.path)}\n"


def open_file(turn: Turn, path: str) -> TextFile | None:
    """The workspace's file at `path`, or None if the file does not exist yet.

    Raises UsageError for a folder or a binary file, RefusedError if a rule denies reading it.
    """
    workspace = turn.services.workspace
    if not workspace.exists(path):
        return None
    if workspace.path(path).is_dir():
        raise UsageError(f"{path} is a folder", "name a file")
    if workspace.hides(path):
        raise RefusedError(f"a rule denies reading {path}")
    data = workspace.read_bytes(path)
    if is_binary(data):
        raise UsageError(f"{path} is a binary file; localagent edits text files only")
    turn.record_read(path, sha256(data))
    return decode(data)


def context_messages(
    turn: Turn, problem: Problem, *, focus: Sequence[Symbol] = ()
) -> list[Message]:
    """The messages that begin the prompt, equal byte for byte in all drafts of this problem.

    If the messages exceed two thirds of the window, the least useful parts are left out, and a line
    says so. A file that is too long keeps the definitions in `focus`.
    """
    prompts = turn.services.prompts
    count = turn.services.model.count
    window = turn.services.model.info.profile.window
    rules = system_text(turn, problem.path)
    budget = window * SEARCH.prompt_thirds // 3 - count(turn.prompt) - count(rules)
    budget -= SEARCH.prompt_reserve
    failing = failures(problem.start)
    if not failing:
        budget = min(budget, SEARCH.task_tokens)
    code = []
    if problem.old is not None:
        code.append(_file_code(turn, problem, focus, budget))
        budget -= count(code[0])
    neighbors: list[str] = []
    for path in problem.neighbors:
        text = text_of(turn.services.workspace, path, turn.record_read)
        part = _clip(turn, _neighbor_code(turn, problem, path, text), budget)
        if part:
            neighbors.append(part)
            budget -= count(part)
    # the file itself comes last, right before the reply that replaces it
    code = [*neighbors, *code]
    for text in code:
        turn.ledger.record_text("code", text)
    turn.ledger.record_text("failing tests", failing)
    if failing:
        code.append(prompts.render("workflow/failing", failures=failing))
    user = prompts.render("workflow/context", task=turn.prompt.strip(), files="\n\n".join(code))
    return [Message("system", rules), Message("user", user)]


def system_text(turn: Turn, path: str) -> str:
    """The system prompt for a change of the file at `path`, with the rules of its folder."""
    rules = turn.services.with_rules(turn.services.prompts.text("workflow/system"))
    if folder_rules := turn.folder_rules(path):
        turn.ledger.record_text("rules", folder_rules)
        return f"{rules}\n\n{folder_rules}"
    return rules


def _file_code(turn: Turn, problem: Problem, focus: Sequence[Symbol], budget: int) -> str:
    """The file to change: the whole text, or `focus` and passages about task and failures."""
    whole = code_block(problem.path, problem.text)
    count = turn.services.model.count
    if count(whole) <= budget:
        return whole
    index = turn.services.index
    query = f"{turn.prompt}\n{failures(problem.start)}"
    passages = index.passages(query, SEARCH.passages)
    spans = [(s.line, s.end_line) for s in focus]
    spans += [(p.line, p.end_line) for p in passages if p.path == problem.path]
    tokens = int(budget * SEARCH.file_share)
    symbols = index.symbols(problem.path)
    return excerpt(problem.path, problem.text, symbols, spans, tokens, count)[0]


def _neighbor_code(turn: Turn, problem: Problem, path: str, text: str) -> str:
    """Another file for the prompt. Python tests are condensed to one line a case.

    Of a long test file only the failing cases are shown.
    """
    if not (is_test(path) and language_of(path).can("structural_edit")):
        return code_block(path, text)
    cases = condense_tests(text)
    if problem.start is not None and turn.services.model.count(cases) > SEARCH.test_tokens:
        failing = {t.id.split("[")[0].split("::")[-1] for t in problem.start.failing}
        cases = condense_tests(text, failing)
    return code_block(path, cases)


def _clip(turn: Turn, text: str, tokens: int) -> str:
    """`text` cut at a line to at most `tokens`, and a line about the cut; "" if little fits."""
    count = turn.services.model.count
    if count(text) <= tokens:
        return text
    if tokens < SEARCH.prompt_reserve:
        return ""
    lines = text.splitlines()
    fit = most_that_fit(len(lines), tokens - 20, lambda n: count("\n".join(lines[:n])))
    if fit < 4:
        return ""
    return "\n".join([*lines[:fit], f"… ({len(lines) - fit} more lines are not shown)", "```"])


def likeliest(
    turn: Turn,
    problem: Problem,
    result: CheckResult | None,
    functions: Iterable[_Function],
    describe: Callable[[_Function], tuple[str, range]],
) -> list[_Function]:
    """The functions of the file that may be at fault, the likeliest of them, in their order.

    `describe` gives a function's name and lines. `problem.functions` come first. Without executed
    lines, the order is how often the task and the failing tests name a function. Without failing
    tests, it is then how many of the task's words a function has.
    """
    lines = suspicion(result).get(problem.path, {}) if result else {}
    told = turn.prompt + "".join(t.message + t.id for t in (result.failing if result else ()))

    def score(function: _Function) -> tuple[float, int]:
        name, own = describe(function)
        suspicious = max((lines.get(n, 0.0) for n in own), default=0.0)
        return suspicious, told.count(name.rpartition(".")[2])

    ranked = list(functions)
    if not failures(result):
        ranked = _by_words(turn, problem, ranked, describe)
    ranked.sort(key=score, reverse=True)
    ranked.sort(key=lambda function: problem.place_of(describe(function)[0]))
    return [f for f in ranked if score(f) > (0.0, 0)][: SEARCH.functions] or ranked[:1]


def _by_words(
    turn: Turn,
    problem: Problem,
    functions: Sequence[_Function],
    describe: Callable[[_Function], tuple[str, range]],
) -> list[_Function]:
    """The functions, first those that share the most words with the task."""
    lines = problem.text.splitlines()
    places = [describe(function)[1] for function in functions]
    known = [words("\n".join(lines[own.start - 1 : own.stop - 1])) for own in places]
    query = words(turn.prompt) - words(problem.path)
    return [function for function, _ in by_share(functions, known, query)]


def failures(result: CheckResult | None, limit: int = SEARCH.failures) -> str:
    """The messages of at most `limit` failing tests, in short form; empty if no test fails."""
    if result is None or result.ok:
        return ""
    failing = [test for test in result.failing if test.id]
    if not failing:
        tail = result.output.splitlines()[-SEARCH.failure_output_lines :]
        return "\n".join(tail)[: SEARCH.failure_output_chars]
    parts = [f"{t.id.split('::')[-1]}: {condense(t.message)}" for t in failing[:limit]]
    return "\n".join(dict.fromkeys(parts))


def neighbor_paths(path: str, named: Sequence[str], start: CheckResult | None) -> tuple[str, ...]:
    """Other paths for the prompt: documents of the task, its tests, failing tests, other files."""
    tests = [t.id.split("::")[0] for t in (start.failing if start else ()) if t.id]
    others = [*(p for p in named if is_docs(p)), *(p for p in named if is_test(p)), *tests, *named]
    return tuple(p for p in dict.fromkeys(others) if p != path)

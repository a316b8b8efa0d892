"""The `workflow` planner, for small models: the harness decides the steps, the model fills in text.

    classify → answer
             → migration (agent/migration), where a column is split
             → baseline check → localize → propose, check, repair → commit → confirm

The harness asks the model for one small text at a time, and the project's tests judge each change.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache, partial

from localagent.agent.checks.baseline import baseline_check, may_be_lean
from localagent.agent.checks.forks import Forks
from localagent.agent.checks.relevant_failures import (
    UNRELATED,
    asks_for_passing,
    failures_left_out,
)
from localagent.agent.checks.runner import (
    CANNOT_RUN,
    FAILED_BEFORE,
    NO_TEST,
    NOT_WORSE,
    ONLY_TEXT,
    UNDEFINED,
    UNTESTED,
    CheckResult,
    most_pass,
    not_worse,
    run_check,
    without_tests,
)
from localagent.agent.intent import (
    asks_for_test,
    begins_with_test,
    classify,
    required_code,
)
from localagent.agent.limits import LOOP, SEARCH
from localagent.agent.migration.split_column import find_split, split_column
from localagent.agent.model_calls import ask, choose
from localagent.agent.new_definitions import new_definitions
from localagent.agent.planners.answer_prompt import build_prompt, opening
from localagent.agent.planners.base import PlannerDefaults, Result
from localagent.agent.planners.citations import Citations, checked
from localagent.agent.planners.log_answer import answer_from_logs, log_paths
from localagent.agent.planners.sources import best_source, sources_of
from localagent.agent.repair.candidates import Board, Candidate
from localagent.agent.repair.false_passes import is_untested, undefined_name
from localagent.agent.repair.file_searches import keep_best, search_files
from localagent.agent.repair.localize import (
    changes_docs,
    missing_files,
    names_source,
    paths_in_task,
    paths_to_trace,
    suspects,
    targets,
    task_sources,
    trace,
)
from localagent.agent.repair.problem import Problem, neighbor_paths, open_file
from localagent.agent.repair.suspects import Suspect
from localagent.agent.tool_calls import dispatch
from localagent.agent.turn import Services, Turn
from localagent.code.file_kinds import is_docs, is_test
from localagent.context.builder import text_of
from localagent.core.errors import ChangeRefused, LocalAgentError
from localagent.core.events import Event, MessageAdded, Outcome, Step, Warned
from localagent.core.messages import Message
from localagent.edits.diff import unified
from localagent.models.base import Request

_NONE_PASSED = "no candidate passed the check; nothing was changed"
_NO_FILE = "no file to change was found; name one in the task"
_WRITES_NO_TEST = "the planner workflow writes no tests; react does (--planner react)"
_TRACING = "running the tests again to see which code they run"
_NONE_USABLE = "no reply made a change that was worth checking; nothing was changed"


class Workflow(PlannerDefaults):
    """The planner for small models. `seconds` limits the search of one turn."""

    name = "workflow"

    def __init__(self, seconds: float = 600.0) -> None:
        self._seconds = seconds

    def opening(self, services: Services, conversation: Sequence[Message]) -> list[Message]:
        """The earlier questions and answers, which the next question's prompt continues."""
        return opening(services, conversation)

    def plan(self, turn: Turn) -> Generator[Event, None, Result]:
        """Carry out one turn; the turn's summary becomes the assistant's message."""
        services = turn.services
        named = paths_in_task(turn.typed, services.workspace, services.files())
        yield from missing_files(turn, named)
        kind = "edit" if turn.request.is_step else (yield from _classify(turn))
        if kind == "answer":
            if logs := log_paths(turn):
                return (yield from answer_from_logs(turn, logs))
            return (yield from _answer(turn, named))
        turn.task_paths = frozenset(p for p in named if not is_test(p))
        split = yield from find_split(turn)
        result = (yield from split_column(turn, *split)) if split is not None else None
        result = result or (yield from change(turn, named, self._seconds))
        yield MessageAdded("assistant", _message(turn, result))
        return result


def _message(turn: Turn, result: Result) -> str:
    """The summary, and the changed lines, about which the user may ask next."""
    workspace = turn.services.workspace
    diff = "".join(
        unified(path, turn.originals[path], text_of(workspace, path), 0) for path in turn.changed
    )
    if not diff:
        return result.summary
    lines = turn.services.redactor.redact(diff).splitlines()[: LOOP.shown_changes]
    return turn.services.prompts.render(
        "workflow/changed", summary=result.summary, diff="\n".join(lines)
    )


def change(turn: Turn, named: Sequence[str], seconds: float) -> Generator[Event, None, Result]:
    """Search for a change that makes the check pass, for so many seconds, and apply it.

    `named` are the files that the task names. If the user refuses a change and says why, the search
    begins anew with these words in the task. Raises WorkspaceError, and RefusedError if a change is
    refused without words or the check is refused.
    """
    turn.services.workspace.ensure_writable()
    check, start = yield from baseline_check(turn)
    docs = changes_docs(turn.typed, named)
    fixes = not turn.request.is_step and not docs and asks_for_passing(turn.typed)
    if start is not None and start.ok and fixes:
        return Result("solved", "the check passes already; nothing was changed", check)
    if start is not None and (reasons := failures_left_out(turn, start, docs=docs)):
        turn.excluded, start = reasons, without_tests(start, reasons)
        for reason, number in Counter(reasons.values()).items():
            yield Warned(f"failing tests that {reason} do not count: {number}")
        if start.ok and fixes:
            return Result("unsolved", "only tests that cannot run here fail", check)
    if start is not None and start.ok and _asks_only_for_test(turn, named):
        return Result("unsolved", _WRITES_NO_TEST, check)
    end = time.monotonic() + seconds
    while True:
        waited, left = turn.ledger.waited, end - time.monotonic()
        try:
            return (yield from _search_and_apply(turn, named, check, start, left))
        except ChangeRefused as error:
            if not error.reason:
                raise
            reason = error.reason
            named = list(dict.fromkeys([error.path, *named]))
        end += turn.ledger.waited - waited
        yield Step("refused", "searching again, with your words in the task")
        render = partial(turn.services.prompts.render, "workflow/refused", reason=reason)
        prompt, typed = render(task=turn.prompt.strip()), render(task=turn.typed.strip())
        turn.request = replace(turn.request, prompt=prompt, typed=typed)
        turn.required = required_code(reason)


def _search_and_apply(
    turn: Turn, named: Sequence[str], check: str, start: CheckResult | None, seconds: float
) -> Generator[Event, None, Result]:
    """Search once for a change, and apply it; `start` is the check's result. See `change`."""
    small = _is_small(turn, start)
    lean = not small and (yield from may_be_lean(turn, start))
    with closing(Forks(turn, check, lean=lean)) as forks:
        if start is not None and small:
            forks.launch(start)  # while the traced check runs
        paths, functions, start = yield from _localize(turn, named, start)
        if not paths:
            return Result("unsolved", _NO_FILE, check)
        for path in paths:
            yield from dispatch.ensure_allowed(turn, path)
        target = _Target(paths, functions, named, check, start)
        problems = yield from _problems(turn, target, forks, lean=lean)
        boards: dict[str, Board] = {}
        try:
            candidate = yield from search_files(turn, problems, boards, seconds)
        except LocalAgentError:
            yield from keep_best(turn, boards.values(), start)
            raise
        yield from forks.end()
    if candidate is None:
        yield from keep_best(turn, boards.values(), start)
        judged = any(board.tried for board in boards.values())
        return Result("unsolved", _NONE_PASSED if judged else _NONE_USABLE, check)
    return (yield from _finish(turn, check, start, candidate))


@dataclass(frozen=True, slots=True)
class _Target:
    """The files to change and their functions, the likeliest first, and the check's result."""

    paths: Sequence[str]
    functions: Sequence[Suspect]
    named: Sequence[str]
    check: str
    start: CheckResult | None


def _asks_only_for_test(turn: Turn, named: Sequence[str]) -> bool:
    """Whether the task's first demand is a new test; of a plan's step, in files of tests alone."""
    if turn.request.is_step:
        return asks_for_test(turn.typed) and bool(named) and all(map(is_test, named))
    return begins_with_test(turn.typed)


def _is_small(turn: Turn, start: CheckResult | None) -> bool:
    """Whether small changes of the workspace may make the check pass, so that forks judge them."""
    is_step = turn.request.is_step
    return start is not None and bool(start.failing) and most_pass(start) and not is_step


def _problems(
    turn: Turn, target: _Target, forks: Forks, *, lean: bool
) -> Generator[Event, None, list[Problem]]:
    """A problem for each file. Starts the forks, if they can help."""
    start, check = target.start, target.check
    if start is not None and not turn.request.is_step:
        yield from forks.start([], start)
        if forks.running is None and _is_small(turn, start):
            lean = yield from may_be_lean(turn, start)
    problems: list[Problem] = []
    for path in target.paths:
        old, neighbors = open_file(turn, path), neighbor_paths(path, target.named, start)
        ranked = tuple(s.symbol.name for s in target.functions if s.symbol.path == path)
        problems.append(Problem(path, old, start, check, neighbors, lean, forks, ranked))
    return problems


def _confirm(turn: Turn, check: str) -> Generator[Event, None, tuple[CheckResult, int]]:
    """Run the check once more; also return how many of the tests that do not count still fail.

    Users see the result of all tests that can run here.
    """
    unrelated = {test for test, reason in turn.excluded.items() if reason == UNRELATED}
    cannot_run = turn.excluded.keys() - unrelated
    result = yield from run_check(turn, check, probe=bool(turn.excluded), excluded=cannot_run)
    still_failing = sum(test.id in unrelated for test in result.failing)
    return without_tests(result, unrelated), still_failing


def _classify(turn: Turn) -> Generator[Event, None, str]:
    kind = classify(turn.typed)
    if kind in ("answer", "edit"):
        return kind
    if turn.request.check and not turn.services.interactive:
        return "edit"  # who asks a question in a script names no check for it
    yield Step("classify", "understanding the request")
    text = turn.services.prompts.render("workflow/classify", prompt=turn.typed.strip())
    return (yield from choose(turn, "classify", [Message("user", text)], ["answer", "edit"]))


def _localize(
    turn: Turn, named: Sequence[str], start: CheckResult | None
) -> Generator[Event, None, tuple[list[str], list[Suspect], CheckResult | None]]:
    """The files to change and their functions, the likeliest first, and the traced check."""
    sources = task_sources(named)
    to_trace = [] if start is None else paths_to_trace(turn, named, start)
    yield Step("localise", _TRACING if to_trace else "finding the code to change")
    traced = None if start is None else (yield from trace(turn, to_trace, start))
    functions = suspects(turn, traced)
    paths = targets(turn, named, traced, functions)
    while not paths and not turn.services.index.ready():
        turn.ensure_within_limits()
        turn.services.index.refresh()
        paths = targets(turn, named, traced, functions)
    has_evidence = traced is not None and (
        any(test.id for test in traced.failing) or names_source(turn, traced)
    )
    if not sources and len(paths) > 1 and not has_evidence:
        first = yield from _choose_file(turn, paths[: SEARCH.choices])
        paths = [first, *(p for p in paths if p != first)]
    return paths[: SEARCH.targets], functions, traced


def _choose_file(turn: Turn, paths: Sequence[str]) -> Generator[Event, None, str]:
    """Let the model choose a file by the names that each file defines."""
    services = turn.services
    outlines = []
    for path in paths:
        text_of(services.workspace, path, turn.record_read)
        symbols = services.index.symbols(path)[: SEARCH.outline_names]
        outlines.append(f"{path}: {', '.join(s.name for s in symbols)}")
    listing = "\n".join(outlines)
    turn.ledger.record_text("other names", listing)
    text = services.prompts.render("workflow/choose-file", files=listing)
    question = Message("user", f"{turn.prompt.strip()}\n\n{text}")
    return (yield from choose(turn, "localise", [question], list(paths)))


def _answer(turn: Turn, named: Sequence[str]) -> Generator[Event, None, Result]:
    """Answer a question from the files that the question names and from the index's hits."""
    yield Step("search", "looking for what the question is about")
    question = turn.services.prompts.render("workflow/answer", question=turn.prompt.strip())
    prompt = yield from build_prompt(turn, named, question, LOOP.answer_tokens)
    yield from turn.drain_rule_warnings()
    request = Request(
        prompt.messages,
        max_tokens=LOOP.answer_tokens,
        seed=turn.request.seed,
        fixed=1,
        continues=True,
    )
    citations = Citations(prompt.parts, turn.services.files())
    reply = yield from checked(ask(turn, "answer", request), citations.correct)
    text = reply.text.strip()
    yield prompt.answer_event(text, reply.thought)
    lines = cache(lambda path: text_of(turn.services.workspace, path).splitlines())
    # cached, because the index reads and parses the file at each call
    symbols = cache(turn.services.index.symbols)
    sources = sources_of(turn.prompt, text, prompt.parts, symbols, lines)
    sources += best_source(turn.prompt, prompt.asked.parts, symbols, lines)
    return Result("answered", text, sources=tuple(dict.fromkeys(sources))[: LOOP.places])


def _finish(
    turn: Turn, check: str, start: CheckResult | None, candidate: Candidate
) -> Generator[Event, None, Result]:
    """Apply the candidate's change, and confirm it with the user's unmodified check command."""
    path = candidate.path
    old = text_of(turn.services.workspace, path)
    how = f"{candidate.strategy} {candidate.number}"
    changes = [*candidate.others, candidate.change]
    changed = f"changed {' and '.join(change.path for change in changes)}"
    yield Step("apply", changed.replace("changed", "changing"))
    yield from dispatch.commit(turn, "edit", changes)
    if not check:
        outcome: Outcome = "answered" if is_docs(path) else "unverified"
        return Result(outcome, f"{changed}; there was no check to run", "", how)
    confirmed, still_failing = yield from _confirm(turn, check)
    if confirmed.ok:
        if set(turn.excluded.values()) - {UNRELATED}:
            return Result("unverified", f"{changed}; {CANNOT_RUN}", check, how)
        if all(is_docs(change.path) for change in changes):
            return Result("answered", f"{changed}; {ONLY_TEXT}", check, how)
        if asks_for_test(turn.typed) and not any(is_test(change.path) for change in changes):
            return Result("unverified", f"{changed}; {NO_TEST}", check, how)
        # A check that failed before passes because of the change, whatever lines were traced.
        passed_before = start is not None and start.ok
        if passed_before and is_untested(path, old, candidate.text, candidate.result):
            return Result("unverified", f"{changed}; {UNTESTED}", check, how)
        names = [each.name for each in new_definitions(turn.prompt) if each.name]
        if missing := undefined_name(names, changes):
            return Result("unverified", f"{changed}; {UNDEFINED}{missing}", check, how)
        failing = f"all tests pass but {still_failing} {FAILED_BEFORE}" if still_failing else ""
        return Result("solved", f"{changed}; {failing or 'the check passes'}", check, how)
    if start is not None and turn.request.is_step and not_worse(start, confirmed):
        return Result("unverified", f"{changed}; {NOT_WORSE}", check, how)
    return Result("unsolved", f"{changed}, but the check fails now", check, how)

"""The `workflow` planner, for small models: the harness decides, the model fills in.

    classify → answer
             → check as it is → localise → propose, check, repair → commit → confirm

The model is asked for one small thing at a time; the project's tests judge it.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from localagent.agent.checks.baseline import baseline_check, may_be_lean
from localagent.agent.checks.coverage import is_untested
from localagent.agent.checks.runner import NOT_WORSE, CheckResult, not_worse, run_check
from localagent.agent.model_calls import Reply, ask, choose
from localagent.agent.planners.answer_prompt import opening, put
from localagent.agent.planners.base import PlannerDefaults, Result
from localagent.agent.planners.intent import classify
from localagent.agent.repair.candidates import Board, Candidate
from localagent.agent.repair.localize import named_paths, names_source, sources_to_trace, targets
from localagent.agent.repair.problem import Problem, beside_paths, open_file
from localagent.agent.repair.search import search
from localagent.agent.repair.strategies.base import Plan
from localagent.agent.repair.strategies.crossover import mix
from localagent.agent.repair.strategies.function import body, rewrite
from localagent.agent.repair.strategies.ideas import ideas
from localagent.agent.repair.strategies.infill import infill, infill_other, quick_infill
from localagent.agent.repair.strategies.mutation import mend, mutate
from localagent.agent.repair.strategies.new_function import addition
from localagent.agent.repair.strategies.whole_file import (
    whole_file,
    whole_file_again,
    whole_file_cases,
)
from localagent.agent.tool_calls import dispatch
from localagent.agent.turn import Services, Turn
from localagent.code.file_kinds import is_docs, is_test
from localagent.context.builder import text_of
from localagent.core.errors import WorkspaceError
from localagent.core.events import Event, MessageAdded, Outcome, Step, Warned
from localagent.core.messages import Message
from localagent.models.base import Request

# Files longer than this are edited function by function, not written anew (in lines).
WHOLE_FILE_LINES = 150
MAX_TARGETS = 3
QUICK_PART = 12
"""One of so many parts of the time is for a first look at each of several files."""
ANSWER_TOKENS = 600
_NONE_PASSED = "no candidate passed the check; nothing was changed"
_NONE_USABLE = "no reply made a change that was worth checking; nothing was changed"


class Workflow(PlannerDefaults):
    """See the module's description. `seconds` bounds the search of one turn."""

    name = "workflow"

    def __init__(self, seconds: float = 600.0) -> None:
        self._seconds = seconds

    def opening(self, services: Services, conversation: Sequence[Message]) -> list[Message]:
        """See `Planner.opening`: a question goes on from the one before."""
        return opening(services, conversation)

    def plan(self, turn: Turn) -> Generator[Event, None, Result]:
        """Carry out one turn; its summary becomes the assistant's message."""
        named = named_paths(turn.prompt, turn.services.workspace, turn.services.index.files())
        kind = "edit" if turn.request.is_step else (yield from _classify(turn))
        if kind == "answer":
            return (yield from _answer(turn, named))
        result = yield from self._change(turn, named)
        yield MessageAdded("assistant", result.summary)
        return result

    def _change(self, turn: Turn, named: Sequence[str]) -> Generator[Event, None, Result]:
        if not turn.services.workspace.writable:
            raise WorkspaceError(f"{turn.services.workspace.root} cannot be written to")
        turn.task_paths = frozenset(p for p in named if not is_test(p))
        check, start = yield from baseline_check(turn)
        fixes = not turn.request.is_step and _asks_for_passing(turn.prompt)
        if start is not None and start.ok and fixes:
            return Result("solved", "the check passes already; nothing was changed", check)
        paths, start = yield from _localise(turn, named, start)
        if not paths:
            return Result("unsolved", "no file to change was found; name one in the task", check)
        for path in paths:
            yield from dispatch.ensure_allowed(turn, path)
        found, judged = yield from self._search(turn, paths, named, check, start)
        if found is None:
            return Result("unsolved", _NONE_PASSED if judged else _NONE_USABLE, check)
        return (yield from _finish(turn, check, start, found))

    def _search(
        self,
        turn: Turn,
        paths: Sequence[str],
        named: Sequence[str],
        check: str,
        start: CheckResult | None,
    ) -> Generator[Event, None, tuple[Candidate | None, bool]]:
        """Search file by file; the likeliest gets half of the time that is left. Where several may
        be at fault, a line or two are filled in in each before any is written anew. Returns what
        was found, and whether any change was worth judging."""
        pairs: list[tuple[Problem, Board]] = []
        lean = yield from may_be_lean(turn, start)
        for path in paths:
            old, beside = open_file(turn, path), beside_paths(path, named, start)
            pairs.append((Problem(path, old, start, check, beside, lean), Board(start)))
        tries: list[tuple[Problem, Board, Plan, float]] = []
        seconds = self._seconds
        if len(pairs) > 1 and not turn.request.is_step:
            share = seconds / QUICK_PART
            tries += [(*pair, Plan([quick_infill]), share) for pair in pairs]
            seconds -= share * len(pairs)
        for problem, board in pairs:
            share = seconds if problem.path == paths[-1] else seconds / 2
            seconds -= share
            tries.append((problem, board, _strategies(turn, problem), share))
        for problem, board, plan, share in tries:
            yield Step("propose", f"writing {problem.path}")
            yield from turn.drain_rule_warnings(problem.path)
            found = yield from search(turn, problem, board, plan, share)
            if found is not None:
                return found, True
        boards = [board for _, board in pairs]
        return _last_step_done(turn, boards), any(board.tried for board in boards)


def _last_step_done(turn: Turn, boards: Sequence[Board]) -> Candidate | None:
    """Where no candidate passed the check after the last step of a plan, the best of those that do
    the step: the check may fail for what the plan was not about."""
    if turn.request.kind != "last-step":
        return None
    for board in boards:
        best, start = board.best, board.start
        if best is None or best.result is None or start is None or start.ok:
            continue
        if not_worse(start, best.result):
            return best
    return None


def _strategies(turn: Turn, problem: Problem) -> Plan:
    """What to try for a problem."""
    lines = problem.text.count("\n")
    if turn.request.is_step:  # what only makes the check pass is not what the step asks for
        asking = [rewrite, body] if lines > WHOLE_FILE_LINES else [whole_file, whole_file_again]
        return Plan([addition, *asking])
    repairing = problem.start is not None and bool(problem.start.passed)
    if not problem.path.endswith(".py"):
        return Plan([whole_file, whole_file_again], anew=[whole_file_cases])
    if lines > WHOLE_FILE_LINES:
        return Plan([mend, quick_infill, mutate, rewrite, body], [mend, infill, mutate, mix])
    if repairing and lines > 10:
        anew = [whole_file_again, whole_file_cases]
        return Plan([mend, quick_infill, mutate, rewrite, body], [mend, infill, mutate, mix], anew)
    return Plan(
        [whole_file, mend, quick_infill, mutate],
        [mend, mix, infill, mutate, infill_other],
        [whole_file_again, ideas, whole_file_cases],
        anew_first=True,
    )


def _classify(turn: Turn) -> Generator[Event, None, str]:
    kind = classify(turn.prompt)
    if kind != "unclear":
        return kind
    yield Step("classify", "understanding the request")
    text = turn.services.prompts.render("workflow/classify", prompt=turn.prompt.strip())
    return (yield from choose(turn, "classify", [Message("user", text)], ["answer", "edit"]))


def _asks_for_passing(prompt: str) -> bool:
    words = prompt.lower()
    return any(word in words for word in ("fix", "pass", "fail", "repair", "broken"))


def _localise(
    turn: Turn, named: Sequence[str], start: CheckResult | None
) -> Generator[Event, None, tuple[list[str], CheckResult | None]]:
    """The files to change, the likeliest first, at most MAX_TARGETS; and the check's result, now
    with the lines that each test ran where they could be traced."""
    yield Step("localise", "finding the code to change")
    plain = [p for p in named if not is_test(p) and not is_docs(p)]
    traced = start
    if start is not None and start.failing:
        wanted = plain or sources_to_trace(turn, start)
        wanted = [p for p in wanted if p.endswith(".py")]
        if wanted and start.passed:
            traced = yield from run_check(turn, start.command, trace=wanted)
    found = targets(turn, named, traced)
    while not found and not turn.services.index.ready():
        turn.ensure_within_limits()
        turn.services.index.refresh()
        found = targets(turn, named, traced)
    told = traced is not None and (traced.failing or names_source(turn, traced))
    if plain or len(found) < 2 or told:
        return found[:MAX_TARGETS], traced
    listing = "\n".join(f"{p}: {_outline(turn, p)}" for p in found[:6])
    turn.ledger.record_text("other names", listing)
    text = turn.services.prompts.render("workflow/choose-file", files=listing)
    question = Message("user", f"{turn.prompt.strip()}\n\n{text}")
    first = yield from choose(turn, "localise", [question], found[:6])
    return [first, *(p for p in found if p != first)][:MAX_TARGETS], traced


def _outline(turn: Turn, path: str) -> str:
    text_of(turn.services.workspace, path, turn.record_read)
    return ", ".join(s.name for s in turn.services.index.symbols(path)[:12])


def _answer(turn: Turn, named: Sequence[str]) -> Generator[Event, None, Result]:
    """Answer a question from what it names, and from what the index finds."""
    yield Step("search", "looking for what the question is about")
    question = turn.services.prompts.render("workflow/answer", question=turn.prompt.strip())
    new = yield from put(turn, named, question, ANSWER_TOKENS)
    yield from turn.drain_rule_warnings()
    request = Request(
        new.messages, max_tokens=ANSWER_TOKENS, seed=turn.request.seed, fixed=1, continues=True
    )
    reply: Reply = yield from ask(turn, "answer", request)
    text = reply.text.strip()
    yield new.answered(text)
    return Result("answered", text)


def _finish(
    turn: Turn, check: str, start: CheckResult | None, found: Candidate
) -> Generator[Event, None, Result]:
    """Make the chosen change and confirm it with the user's own command, nothing added."""
    old = text_of(turn.services.workspace, found.path)
    how = f"{found.strategy} {found.number}"
    yield Step("apply", f"changing {found.path}")
    yield from dispatch.commit(turn, "edit", [found.change])
    if not check:
        outcome: Outcome = "answered" if is_docs(found.path) else "unverified"
        return Result(outcome, f"changed {found.path}; there was no check to run", "", how)
    confirmed = yield from run_check(turn, check, probe=False)
    if confirmed.ok:
        if is_untested(found.path, old, found.text, found.result):
            yield Warned(f"no test runs what was changed in {found.path}; look at it yourself")
        return Result("solved", f"changed {found.path}; the check passes", check, how)
    if start is not None and turn.request.is_step and not_worse(start, confirmed):
        return Result("unverified", f"changed {found.path}; {NOT_WORSE}", check, how)
    return Result("unsolved", f"changed {found.path}, but the check fails now", check, how)

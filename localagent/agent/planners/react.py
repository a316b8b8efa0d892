"""The `react` planner, for models that can follow a plan: the model makes tool calls in a loop.

Each step appends to the conversation, so the model reads each token once. The answer to a reply
without a tool call is an example of a call. A repeated call is refused. The call `done` ends the
turn only if the check passes.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import cache, partial

from localagent.agent.checks.baseline import baseline_check
from localagent.agent.checks.runner import (
    NOT_WORSE,
    UNTESTED,
    CheckResult,
    ends_well,
    not_worse,
    run_check,
)
from localagent.agent.intent import classify
from localagent.agent.limits import LOOP
from localagent.agent.model_calls import Reply, ask
from localagent.agent.planners.base import Result
from localagent.agent.repair.false_passes import is_untested
from localagent.agent.repair.localize import paths_in_task
from localagent.agent.tool_calls import dispatch
from localagent.agent.tool_calls.parse import action_grammar, parse_actions
from localagent.agent.turn import Services, Turn
from localagent.code.file_kinds import is_docs, is_test
from localagent.code.languages import language_of
from localagent.context.builder import text_of
from localagent.context.compaction import Conversation, compact, tokens
from localagent.context.excerpt import Count
from localagent.core.errors import ContextOverflow, ToolError
from localagent.core.events import Event, MessageAdded, Outcome, Steered, Step
from localagent.core.messages import Message, Role, ToolCall
from localagent.models.base import Request
from localagent.tools.base import DONE, ToolSpecs, model_specs


@dataclass(slots=True)
class _Talk:
    """The messages of a turn, the position of the user's request, and a cached token count."""

    messages: list[Message]
    request: int
    count: Count

    def add(self, role: Role, text: str) -> MessageAdded:
        """Append a message, and return the event that reports it."""
        self.messages.append(Message(role, text))
        return MessageAdded(role, text)


def system_prompt(services: Services) -> str:
    """The fixed start of every conversation: the system prompt, the tools, the rules."""
    system = services.prompts.render("react/system", tools=tools_text(services))
    return services.with_rules(system)


def tools_text(services: Services) -> str:
    """The descriptions of all tools, for the system prompt."""
    return "\n\n".join(services.prompts.text(spec.prompt) for spec in tool_specs(services).values())


def tool_specs(services: Services) -> ToolSpecs:
    """The specs of everything that the model can call: built-in tools, plug-ins, and `done`."""
    return model_specs(services.tools)


class React:
    """The planner for models that can hold a plan."""

    name = "react"

    def opening(self, services: Services, conversation: Sequence[Message]) -> list[Message]:
        """The system prompt and the whole conversation."""
        return [Message("system", system_prompt(services)), *conversation]

    def compact(
        self, services: Services, conversation: Sequence[Message], last: int
    ) -> list[Message] | None:
        """A shorter conversation. See `Planner.compact`."""
        if not conversation:
            return None
        messages = self.opening(services, conversation)
        old = Conversation(tuple(messages), last + 1)
        call_in = partial(_call_in, tools=tool_specs(services))
        new = compact(old, services.prompts, call_in, cache(services.model.count), 0)
        return None if new is None else list(new.messages[1:])

    def plan(self, turn: Turn) -> Generator[Event, None, Result]:
        """Carry out tool calls until `done` is accepted or a limit is reached."""
        services = turn.services
        named = paths_in_task(turn.typed, services.workspace, services.index.files())
        turn.task_paths = frozenset(p for p in named if not is_test(p))
        start = None
        question = classify(turn.typed) == "answer"
        if not question:
            _, start = yield from baseline_check(turn)
        messages = self.opening(services, turn.conversation)
        yield from turn.drain_rule_warnings()
        messages.append(Message("user", turn.prompt))
        talk = _Talk(messages, len(messages) - 1, cache(services.model.count))
        return (yield from _loop(turn, talk, start, question))


def _loop(
    turn: Turn, talk: _Talk, start: CheckResult | None, question: bool
) -> Generator[Event, None, Result]:
    stumbles = 0
    calls: set[tuple[str, str]] = set()
    for step in range(1, LOOP.steps + 1):
        yield Step("think", f"step {step}")
        for text in turn.steering():
            yield Steered(text)
            yield talk.add("user", turn.services.prompts.render("react/steered", text=text))
        reply = yield from _next_reply(turn, talk, question)
        if reply is None:
            return (yield from _give_up(turn, start, "the conversation no longer fits the window"))
        yield talk.add("assistant", reply.text)
        call, problem = _read_call(reply, tool_specs(turn.services))
        if call is not None and call.name == DONE.name:
            result = yield from _done(turn, talk, start, call)
            if result is not None:
                return result
            stumbles += 1
        elif call is None:
            stumbles += 1
            # The answer to a question needs no tool call.
            is_answer = question and not problem and bool(reply.text.strip())
            if (is_answer or stumbles >= LOOP.stumbles) and not turn.changed and start is None:
                return Result("answered", reply.text.strip())
            yield talk.add("user", problem or _no_action(turn))
        else:
            repeated = not _is_new(calls, call, turn)
            stumbles = stumbles + 1 if repeated else 0
            yield from _use(turn, talk, call, repeated)
        if stumbles >= LOOP.stumbles:
            return (yield from _give_up(turn, start, "the model made no progress"))
    return (yield from _give_up(turn, start, f"not done after {LOOP.steps} steps"))


def _next_reply(turn: Turn, talk: _Talk, question: bool) -> Generator[Event, None, Reply | None]:
    """Compact the conversation if needed, and ask for a reply; None if it still does not fit."""
    window = turn.services.model.info.profile.window
    fits = tokens(talk.messages, talk.count) + LOOP.act_tokens <= window
    for _ in range(2):
        if fits or (yield from _make_room(turn, talk)):
            request = Request(
                tuple(talk.messages),
                max_tokens=LOOP.act_tokens,
                seed=turn.request.seed,
                # The answer to a question may be plain text.
                grammar=None if question else action_grammar(tool_specs(turn.services)),
                fixed=1,
                continues=True,
            )
            try:
                return (yield from ask(turn, "act", request))
            except ContextOverflow:
                fits = False
    return None


def _make_room(turn: Turn, talk: _Talk) -> Generator[Event, None, bool]:
    """Compact the conversation in place; return False if nothing can be left out."""
    old = Conversation(tuple(talk.messages), talk.request)
    window = turn.services.model.info.profile.window
    call_in = partial(_call_in, tools=tool_specs(turn.services))
    new = compact(old, turn.services.prompts, call_in, talk.count, window)
    if new is None:
        return False
    before, after = (tokens(one.messages, talk.count) for one in (old, new))
    yield Step("compact", f"context compacted: {before:,} → {after:,} tokens")
    talk.messages[:], talk.request = new.messages, new.request
    return True


def _call_in(text: str, tools: ToolSpecs) -> ToolCall | None:
    try:
        calls = parse_actions(text, tools)
    except ToolError:
        return None
    return calls[0] if calls else None


def _read_call(reply: Reply, tools: ToolSpecs) -> tuple[ToolCall | None, str]:
    """The first tool call of a reply, or a message to the model that says why it is unusable."""
    try:
        calls = parse_actions(reply.text, tools)
    except ToolError as error:
        return None, error.message
    if calls and tools[calls[0].name].effect != "read" and reply.finish == "length":
        return None, f"your {calls[0].name} was cut off; make the change in smaller parts"
    return (calls[0], "") if calls else (None, "")


def _no_action(turn: Turn) -> str:
    files = turn.services.index.files()
    example = files[0] if files else "README.md"
    return turn.services.prompts.render("react/no-action", example=example)


def _is_new(calls: set[tuple[str, str]], call: ToolCall, turn: Turn) -> bool:
    """Whether the model has not made this call since the last change of the workspace."""
    key = (repr((call.name, sorted(call.arguments.items()))), repr(turn.changed))
    new = key not in calls
    calls.add(key)
    return new


def _use(turn: Turn, talk: _Talk, call: ToolCall, repeated: bool) -> Generator[Event, None, None]:
    """Carry out a call, or refuse a repeated call, and add the result to the conversation."""
    prompts = turn.services.prompts
    if repeated:
        yield talk.add("user", prompts.text("react/repeated"))
        return
    result = yield from dispatch.act(turn, call)
    text = prompts.render("react/result", tool=call.name, result=result.for_model)
    rules = turn.folder_rules(call.arguments.get("path", "")) if result.ok else ""
    if rules and not any(rules in message.content for message in talk.messages):
        turn.ledger.record_text("rules", rules)
        text = f"{text}\n\n{rules}"
    yield talk.add("user", text)
    yield from turn.drain_rule_warnings()


def _done(
    turn: Turn, talk: _Talk, start: CheckResult | None, call: ToolCall
) -> Generator[Event, None, Result | None]:
    """The result of the call `done`; None if the check fails, and the model then reads why."""
    summary = call.arguments.get("body", "").strip() or "done"
    if start is None:
        verified = all(is_docs(p) for p in turn.changed)
        return Result("answered" if verified else "unverified", summary)
    final = yield from run_check(turn, start.command, probe=False)
    if final.ok:
        return (yield from _passed(turn, start, summary, f"{summary} ({UNTESTED})"))
    if turn.changed and ends_well(turn.request.kind, start, final):
        return Result("unverified", f"{summary} ({NOT_WORSE})", start.command, "tool calls")
    tail = "\n".join(final.output.splitlines()[-LOOP.failure_lines :])[: LOOP.failure_chars]
    yield talk.add("user", turn.services.prompts.render("react/check-failed", output=tail))
    return None


def _passed(
    turn: Turn, start: CheckResult, solved: str, unverified: str
) -> Generator[Event, None, Result]:
    """The result of a turn whose check passes; `unverified` is the summary if no test runs it."""
    tested = True
    sources = [p for p in turn.changed if language_of(p).can("tracing") and not is_test(p)]
    if start.ok and sources:  # a check that failed before passes because of the change
        workspace = turn.services.workspace
        traced = yield from run_check(turn, start.command, trace=sources)
        tested = not any(
            is_untested(p, turn.originals[p], text_of(workspace, p), traced) for p in sources
        )
    outcome: Outcome = "solved" if tested else "unverified"
    return Result(outcome, solved if tested else unverified, start.command, "tool calls")


def _give_up(turn: Turn, start: CheckResult | None, why: str) -> Generator[Event, None, Result]:
    """The result of a turn without the call `done`: its changes may still pass the check."""
    check = "" if start is None else start.command
    if check and turn.changed:
        final = yield from run_check(turn, check, probe=False)
        if final.ok and start is not None:
            passes = f"the check passes ({why})"
            return (yield from _passed(turn, start, passes, f"{UNTESTED} ({why})"))
        if start is not None and turn.request.is_step and not_worse(start, final):
            return Result("unverified", f"{NOT_WORSE} ({why})", check, "tool calls")
    changed = "; its changes stay (`localagent undo` reverts them)" if turn.changed else ""
    return Result("unsolved", why + changed, check)

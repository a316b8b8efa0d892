"""The `react` planner, for models that can hold a plan: tool calls in a loop.

The conversation only ever grows, so that the model reads each token once. A reply without a tool
call is told what one looks like; a call that repeats itself is refused; a "done" is believed only
when the check passes.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import cache, partial

from localagent.agent.checks.baseline import baseline_check
from localagent.agent.checks.runner import NOT_WORSE, CheckResult, ends_well, not_worse, run_check
from localagent.agent.model_calls import Reply, ask
from localagent.agent.planners.base import Result
from localagent.agent.planners.intent import classify
from localagent.agent.repair.localize import named_paths
from localagent.agent.tool_calls import dispatch
from localagent.agent.tool_calls.parse import action_grammar, parse_actions
from localagent.agent.turn import Services, Turn
from localagent.code.file_kinds import is_docs, is_test
from localagent.context.compaction import Conversation, compacted, tokens
from localagent.context.excerpt import Count
from localagent.core.errors import ContextOverflow, ToolError
from localagent.core.events import Event, MessageAdded, Steered, Step
from localagent.core.messages import Message, Role, ToolCall
from localagent.models.base import Request

MAX_STEPS = 40
REPLY_TOKENS = 1200
# Replies in a row without a usable call, or calls in a row that repeat, before the turn ends.
MAX_STUMBLES = 3
TOOL_NAMES = ("read", "list", "search", "edit", "write", "shell")


@dataclass(slots=True)
class _Talk:
    """The messages, the place of what the user asks now, and the model's count of a text's tokens,
    each text counted once."""

    messages: list[Message]
    asked: int
    count: Count


def system_prompt(services: Services) -> str:
    """The fixed start of every conversation: rules and tools, and the user's and project's own."""
    system = services.prompts.render("react/system", tools=tools_text(services))
    return services.with_rules(system)


def tools_text(services: Services) -> str:
    """What the model is told of the tools."""
    return "\n\n".join(services.prompts.text(f"tools/{name}") for name in tool_names(services))


def tool_names(services: Services) -> tuple[str, ...]:
    """What the model can call: the built-in tools, plug-ins, and "done"."""
    return (*TOOL_NAMES, *_plugins(services), "done")


def _plugins(services: Services) -> list[str]:
    return [name for name in services.tools if name not in TOOL_NAMES]


class React:
    """See the module's description."""

    name = "react"

    def opening(self, services: Services, conversation: Sequence[Message]) -> list[Message]:
        """See `Planner.opening`."""
        return [Message("system", system_prompt(services)), *conversation]

    def compact(
        self, services: Services, conversation: Sequence[Message], last: int
    ) -> list[Message] | None:
        """See `Planner.compact`."""
        if not conversation:
            return None
        messages = self.opening(services, conversation)
        old = Conversation(tuple(messages), last + 1)
        count = cache(services.model.count)
        call_in = partial(_call_in, tools=tool_names(services))
        new = compacted(old, services.prompts, call_in, count, 0)
        return None if new is None else list(new.messages[1:])

    def plan(self, turn: Turn) -> Generator[Event, None, Result]:
        """Carry out one turn."""
        files = turn.services.index.files()
        named = named_paths(turn.prompt, turn.services.workspace, files)
        turn.task_paths = frozenset(p for p in named if not is_test(p))
        start = None
        question = classify(turn.prompt) == "answer"
        if not question:
            _, start = yield from baseline_check(turn)
        messages = self.opening(turn.services, turn.conversation)
        yield from turn.drain_rule_warnings()
        messages.append(Message("user", turn.prompt))
        return (yield from _loop(turn, messages, start, question))


def _loop(
    turn: Turn, messages: list[Message], start: CheckResult | None, question: bool
) -> Generator[Event, None, Result]:
    talk = _Talk(messages, len(messages) - 1, cache(turn.services.model.count))
    stumbles = 0
    seen: set[tuple[str, str]] = set()
    for step in range(1, MAX_STEPS + 1):
        yield Step("think", f"step {step}")
        yield from _steered(turn, messages)
        reply = yield from _asked(turn, talk, question)
        if reply is None:
            return (yield from _give_up(turn, start, "the conversation no longer fits the window"))
        yield from _add(messages, "assistant", reply.text)
        call, problem = _read_call(reply, tool_names(turn.services))
        if call is not None and call.name == "done":
            result = yield from _done(turn, messages, start, call)
            if result is not None:
                return result
            stumbles += 1
        elif call is None:
            stumbles += 1
            # To a question, text without a call is the answer.
            plain = question and not problem and bool(reply.text.strip())
            if (plain or stumbles >= MAX_STUMBLES) and not turn.changed and start is None:
                return Result("answered", reply.text.strip())
            yield from _add(messages, "user", problem or _no_action(turn))
        else:
            repeated = not _is_new(seen, call, turn)
            stumbles = stumbles + 1 if repeated else 0
            yield from _use(turn, messages, call, repeated)
        if stumbles >= MAX_STUMBLES:
            return (yield from _give_up(turn, start, "the model made no progress"))
    return (yield from _give_up(turn, start, f"not done after {MAX_STEPS} steps"))


def _steered(turn: Turn, messages: list[Message]) -> Generator[Event, None, None]:
    """What the user has said since the last step joins the conversation."""
    for said in turn.steering():
        yield Steered(said)
        text = turn.services.prompts.render("react/steered", text=said)
        yield from _add(messages, "user", text)


def _asked(turn: Turn, talk: _Talk, question: bool) -> Generator[Event, None, Reply | None]:
    """The model's next reply; room is made where the conversation needs it. None where no room can
    be made."""
    window = turn.services.model.info.profile.window
    fits = tokens(talk.messages, talk.count) + REPLY_TOKENS <= window
    for _ in range(2):
        if fits or (yield from _make_room(turn, talk)):
            try:
                return (yield from ask(turn, "act", _request(turn, talk.messages, question)))
            except ContextOverflow:
                fits = False
    return None


def _request(turn: Turn, messages: list[Message], question: bool) -> Request:
    return Request(
        tuple(messages),
        max_tokens=REPLY_TOKENS,
        seed=turn.request.seed,
        # A question may be answered in plain text.
        grammar=None if question else action_grammar(_plugins(turn.services)),
        fixed=1,
        continues=True,
    )


def _make_room(turn: Turn, talk: _Talk) -> Generator[Event, None, bool]:
    """Shorten the conversation in place; False where nothing can be left out."""
    old = Conversation(tuple(talk.messages), talk.asked)
    window = turn.services.model.info.profile.window
    call_in = partial(_call_in, tools=tool_names(turn.services))
    new = compacted(old, turn.services.prompts, call_in, talk.count, window)
    if new is None:
        return False
    before, after = (tokens(one.messages, talk.count) for one in (old, new))
    yield Step("compact", f"making room: {before:,} tokens of conversation become {after:,}")
    talk.messages[:], talk.asked = new.messages, new.asked
    return True


def _call_in(text: str, tools: Sequence[str] = (*TOOL_NAMES, "done")) -> ToolCall | None:
    try:
        calls = parse_actions(text, tools)
    except ToolError:
        return None
    return calls[0] if calls else None


def _add(messages: list[Message], role: Role, text: str) -> Generator[Event, None, None]:
    message = Message(role, text)
    messages.append(message)
    yield MessageAdded(role, text)


def _read_call(reply: Reply, tools: Sequence[str]) -> tuple[ToolCall | None, str]:
    """The first tool call of a reply, or what to tell the model about it."""
    try:
        calls = parse_actions(reply.text, tools)
    except ToolError as error:
        return None, error.message
    reading = ("read", "list", "search", "done")
    if calls and calls[0].name not in reading and reply.finish == "length":
        return None, f"your {calls[0].name} was cut off; make the change in smaller parts"
    return (calls[0], "") if calls else (None, "")


def _no_action(turn: Turn) -> str:
    files = turn.services.index.files()
    example = files[0] if files else "README.md"
    return turn.services.prompts.render("react/no-action", example=example)


def _is_new(seen: set[tuple[str, str]], call: ToolCall, turn: Turn) -> bool:
    """True where this call was not made since the last change of the workspace."""
    key = (repr((call.name, sorted(call.arguments.items()))), repr(turn.changed))
    if key in seen:
        return False
    seen.add(key)
    return True


def _use(
    turn: Turn, messages: list[Message], call: ToolCall, repeated: bool
) -> Generator[Event, None, None]:
    if repeated:
        yield from _add(messages, "user", turn.services.prompts.text("react/repeated"))
        return
    result = yield from dispatch.act(turn, call)
    text = turn.services.prompts.render("react/result", tool=call.name, result=result.for_model)
    rules = turn.folder_rules(call.arguments.get("path", "")) if result.ok else ""
    if rules and not any(rules in message.content for message in messages):
        turn.ledger.record_text("rules", rules)
        text = f"{text}\n\n{rules}"
    yield from _add(messages, "user", text)
    yield from turn.drain_rule_warnings()


def _done(
    turn: Turn, messages: list[Message], start: CheckResult | None, call: ToolCall
) -> Generator[Event, None, Result | None]:
    """Believe a "done" where the check passes; otherwise tell the model, and return None."""
    summary = call.arguments.get("body", "").strip() or "done"
    if not turn.changed and start is None:
        return Result("answered", summary)
    if start is None:
        verified = all(is_docs(p) for p in turn.changed)
        return Result("answered" if verified else "unverified", summary)
    final = yield from run_check(turn, start.command, probe=False)
    if final.ok:
        return Result("solved", summary, start.command, "tool calls")
    if turn.changed and ends_well(turn.request.kind, start, final):
        return Result("unverified", f"{summary} ({NOT_WORSE})", start.command, "tool calls")
    tail = "\n".join(final.output.splitlines()[-20:])[:1500]
    text = turn.services.prompts.render("react/check-failed", output=tail)
    yield from _add(messages, "user", text)
    return None


def _give_up(turn: Turn, start: CheckResult | None, why: str) -> Generator[Event, None, Result]:
    check = "" if start is None else start.command
    if check and turn.changed:
        final = yield from run_check(turn, check, probe=False)
        if final.ok:
            return Result("solved", f"the check passes ({why})", check, "tool calls")
        if start is not None and turn.request.is_step and not_worse(start, final):
            return Result("unverified", f"{NOT_WORSE} ({why})", check, "tool calls")
    changed = "; its changes are kept, `localagent undo` takes them back" if turn.changed else ""
    return Result("unsolved", why + changed, check)

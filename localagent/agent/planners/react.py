"""The `react` planner, for models that can follow a plan: the model makes tool calls in a loop.

Each step appends to the conversation, so the model reads each token once. The answer to a reply
without a tool call is an example of a call. A repeated call is refused. The call `done` ends the
turn only if the check passes.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

from localagent.agent.checks.baseline import baseline_check
from localagent.agent.checks.runner import (
    NOT_WORSE,
    SILENT,
    UNTESTED,
    CheckResult,
    ends_well,
    is_silent,
    not_worse,
    run_check,
)
from localagent.agent.intent import classify
from localagent.agent.limits import LOOP
from localagent.agent.model_calls import Reply, ask
from localagent.agent.planners.base import Result
from localagent.agent.planners.repair_call import repair_call
from localagent.agent.repair.false_passes import is_untested
from localagent.agent.repair.localize import missing_files, paths_in_task
from localagent.agent.tool_calls import dispatch
from localagent.agent.tool_calls.parse import action_grammar, parse_actions
from localagent.agent.tool_calls.schemas import call_grammar, tool_schemas
from localagent.agent.turn import Services, Turn
from localagent.code.file_kinds import is_docs, is_test
from localagent.code.languages import language_of
from localagent.context.builder import text_of
from localagent.context.compaction import Conversation, compact, tokens
from localagent.context.excerpt import Count
from localagent.context.prompts import Prompts
from localagent.core.errors import ContextOverflow, ToolError
from localagent.core.events import Event, MessageAdded, Steered, Step
from localagent.core.messages import Message, ToolCall
from localagent.models.base import ModelInfo, Request
from localagent.tools.base import DONE, REPAIR, ToolSpecs, model_specs


@dataclass(slots=True)
class _Talk:
    """The messages of a turn, the position of the user's request, and a cached token count."""

    messages: list[Message]
    request: int
    count: Count

    def add(self, text: str, tool: str = "") -> MessageAdded:
        """Append a user's message or a tool's native result, and return its event."""
        self.messages.append(Message("tool" if tool else "user", text))
        return MessageAdded("user", text, tool=tool)

    def reply(self, reply: Reply, calls: Sequence[str]) -> MessageAdded:
        """Append a reply with native `calls`, and return the event that reports it."""
        message = Message("assistant", reply.text, thought=reply.thought, calls=tuple(calls))
        self.messages.append(message)
        return MessageAdded("assistant", reply.text, thought=reply.thought, calls=list(calls))


def system_prompt(services: Services) -> str:
    """The fixed start of every conversation: the system prompt, the tools, the rules."""
    text = system_text(services.model.info, tool_specs(services), services.prompts)
    return services.with_rules(text)


def system_text(info: ModelInfo, tools: ToolSpecs, prompts: Prompts) -> str:
    """The system prompt without rules. The chat template adds the tools of native calls."""
    if is_native(info):
        return prompts.text("react/system-native")
    descriptions = "\n\n".join(prompts.text(spec.prompt) for spec in tools.values())
    return prompts.render("react/system", tools=descriptions)


def is_native(info: ModelInfo) -> bool:
    """Whether the model calls tools in the form of its chat template."""
    return info.profile.calls == "native" and info.form is not None and info.form.call_form != ""


def tools_text(services: Services) -> str:
    """The descriptions of all tools, for the system prompt."""
    return "\n\n".join(services.prompts.text(spec.prompt) for spec in tool_specs(services).values())


def tool_specs(services: Services) -> ToolSpecs:
    """The specs of everything that the model can call: built-in tools, plug-ins, and `done`.

    A model whose profile says that it plans can call `repair` too.
    """
    return model_specs(services.tools, repairs=services.model.info.profile.planner == "react")


class React:
    """The planner for models that can hold a plan."""

    name = "react"

    def opening(self, services: Services, conversation: Sequence[Message]) -> list[Message]:
        """The system prompt and the whole conversation."""
        return [Message("system", system_prompt(services)), *conversation]

    def tools(self, services: Services) -> str:
        """The schemas of native calls. See `Planner.tools`."""
        return act_request(services.model.info, tool_specs(services), services.prompts).tools

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
        named = paths_in_task(turn.typed, services.workspace, services.files())
        yield from missing_files(turn, named)
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
    known: set[tuple[str, str]] = set()
    for step in range(1, LOOP.steps + 1):
        yield Step("think", f"step {step}")
        for text in turn.steering():
            yield Steered(text)
            yield talk.add(turn.services.prompts.render("react/steered", text=text))
        reply = yield from _next_reply(turn, talk, question)
        if reply is None:
            return (yield from _give_up(turn, start, "the conversation no longer fits the window"))
        calls, problem = _read_calls(reply, tool_specs(turn.services))
        native = is_native(turn.services.model.info)
        yield talk.reply(reply, [call.name for call in calls] if native else ())
        if calls:
            outcome = yield from _carry_out(turn, talk, start, calls, known, problem)
            if isinstance(outcome, Result):
                return outcome
            stumbles = 0 if outcome else stumbles + 1
        else:
            stumbles += 1
            # The answer to a question needs no tool call.
            is_answer = question and not problem and bool(reply.text.strip())
            if (is_answer or stumbles >= LOOP.stumbles) and not turn.changed and start is None:
                return Result("answered", reply.text.strip())
            yield talk.add(problem or _no_action(turn))
        if stumbles >= LOOP.stumbles:
            return (yield from _give_up(turn, start, "the model made no progress"))
    return (yield from _give_up(turn, start, f"not done after {LOOP.steps} steps"))


def _next_reply(turn: Turn, talk: _Talk, question: bool) -> Generator[Event, None, Reply | None]:
    """Compact the conversation if needed, and ask for a reply; None if it still does not fit."""
    profile = turn.services.model.info.profile
    window = profile.window
    services = turn.services
    info, specs = services.model.info, tool_specs(services)
    blank = act_request(info, specs, services.prompts, question=question)
    room = LOOP.act_tokens + (profile.think if profile.think_for == "all" else 0)
    room += talk.count(blank.tools) if blank.tools else 0
    fits = tokens(talk.messages, talk.count) + room <= window
    for _ in range(2):
        if fits or (yield from _make_room(turn, talk)):
            prompt = tuple(talk.messages)
            request = replace(blank, prompt=prompt, seed=turn.request.seed, continues=True)
            try:
                return (yield from ask(turn, "act", request))
            except ContextOverflow:
                fits = False
    return None


def act_request(
    info: ModelInfo, tools: ToolSpecs, prompts: Prompts, *, question: bool = False
) -> Request:
    """The request of a step, without its messages.

    The answer to a question may be plain text. So may the text before a native call: its grammar
    begins with the call.
    """
    form = info.form
    if form is None or not is_native(info):
        grammar = None if question else action_grammar(tools)
        return Request((), max_tokens=LOOP.act_tokens, grammar=grammar, fixed=1)
    schemas = tool_schemas(tools, prompts)
    grammar = call_grammar(form.call_form, form.call_end, schemas)
    return Request(
        (),
        max_tokens=LOOP.act_tokens,
        tools=json.dumps(schemas, ensure_ascii=False),
        trigger=form.call_start if grammar else "",
        grammar=grammar,
        fixed=1,
    )


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


def _read_calls(reply: Reply, tools: ToolSpecs) -> tuple[list[ToolCall], str]:
    """The tool calls of a reply, or a message to the model that says why they are unusable."""
    try:
        calls = parse_actions(reply.text, tools)
    except ToolError as error:
        return [], error.message
    if calls and tools[calls[-1].name].effect != "read" and reply.finish == "length":
        last = calls.pop()
        return calls, f"your {last.name} was cut off; make the change in smaller parts"
    return calls, ""


def _no_action(turn: Turn) -> str:
    if is_native(turn.services.model.info):
        return turn.services.prompts.text("react/no-call")
    files = turn.services.files()
    example = files[0] if files else "README.md"
    return turn.services.prompts.render("react/no-action", example=example)


def _is_new(calls: set[tuple[str, str]], call: ToolCall, turn: Turn) -> bool:
    """Whether the model has not made this call since the last change of the workspace."""
    key = (repr((call.name, sorted(call.arguments.items()))), repr(turn.changed))
    new = key not in calls
    calls.add(key)
    return new


def _carry_out(
    turn: Turn,
    talk: _Talk,
    start: CheckResult | None,
    calls: Sequence[ToolCall],
    known: set[tuple[str, str]],
    problem: str,
) -> Generator[Event, None, Result | bool]:
    """Carry out the calls of a reply in their order, and add their results to the conversation.

    `problem` is the message about a call that could not be read, after the others. Returns the
    turn's result if a call `done` is accepted; otherwise whether any call was new.
    """
    results: list[str] = []
    new = False
    for call in calls:
        turn.ensure_within_limits()
        if call.name == DONE.name:
            outcome = yield from _done(turn, start, call)
            if isinstance(outcome, Result):
                return outcome
            results.append(outcome)
        elif _is_new(known, call, turn):
            new = True
            if call.name == REPAIR.name:
                results.append((yield from repair_call(turn, call, start)))
                continue
            results.append((yield from _use(turn, talk, call, results)))
        else:
            results.append(turn.services.prompts.text("react/repeated"))
    if is_native(turn.services.model.info):
        for call, result in zip(calls, results, strict=True):
            yield talk.add(result, call.name)
        results = []
    if results or problem:
        yield talk.add("\n\n".join([*results, *([problem] if problem else [])]))
    yield from turn.drain_rule_warnings()
    return new


def _use(
    turn: Turn, talk: _Talk, call: ToolCall, before: Sequence[str]
) -> Generator[Event, None, str]:
    """Carry out a call; return its result for the model, after the results `before`."""
    result = yield from dispatch.act(turn, call)
    text = turn.services.prompts.render("react/result", tool=call.name, result=result.for_model)
    rules = turn.folder_rules(call.arguments.get("path", "")) if result.ok else ""
    said = [*(message.content for message in talk.messages), *before]
    if rules and not any(rules in each for each in said):
        turn.ledger.record_text("rules", rules)
        text = f"{text}\n\n{rules}"
    return text


def _done(
    turn: Turn, start: CheckResult | None, call: ToolCall
) -> Generator[Event, None, Result | str]:
    """The result of the call `done`; a text for the model if the check fails."""
    summary = call.arguments.get("body", "").strip() or "done"
    if start is None:
        verified = all(is_docs(p) for p in turn.changed)
        return Result("answered" if verified else "unverified", summary)
    final = yield from run_check(turn, start.command, probe=False)
    if final.ok:
        return (yield from _passed(turn, start, final, summary, summary))
    if turn.changed and ends_well(turn.request.kind, start, final):
        return Result("unverified", f"{summary} ({NOT_WORSE})", start.command, "tool calls")
    tail = "\n".join(final.output.splitlines()[-LOOP.failure_lines :])[: LOOP.failure_chars]
    return turn.services.prompts.render("react/check-failed", output=tail)


def _passed(
    turn: Turn, start: CheckResult, final: CheckResult, solved: str, said: str
) -> Generator[Event, None, Result]:
    """The result of a turn whose check passes; without a test, the summary is the reason and
    `said`."""
    if is_silent(start, final):  # also pytest with -qq, which only the probe understands
        final = yield from run_check(turn, start.command)
    if is_silent(start, final):
        return Result("unverified", f"{said} ({SILENT})", start.command, "tool calls")
    tested = True
    sources = [p for p in turn.changed if language_of(p).can("tracing") and not is_test(p)]
    if start.ok and sources:  # a check that failed before passes because of the change
        workspace = turn.services.workspace
        traced = yield from run_check(turn, start.command, trace=sources)
        tested = not any(
            is_untested(p, turn.originals[p], text_of(workspace, p), traced) for p in sources
        )
    if not tested:
        return Result("unverified", f"{said} ({UNTESTED})", start.command, "tool calls")
    return Result("solved", solved, start.command, "tool calls")


def _give_up(turn: Turn, start: CheckResult | None, why: str) -> Generator[Event, None, Result]:
    """The result of a turn without the call `done`: its changes may still pass the check."""
    check = "" if start is None else start.command
    if check and turn.changed:
        final = yield from run_check(turn, check, probe=False)
        if final.ok and start is not None:
            passes = f"the check passes ({why})"
            return (yield from _passed(turn, start, final, passes, why))
        if start is not None and turn.request.is_step and not_worse(start, final):
            return Result("unverified", f"{NOT_WORSE} ({why})", check, "tool calls")
    changed = "; its changes stay (`localagent undo` reverts them)" if turn.changed else ""
    return Result("unsolved", why + changed, check)

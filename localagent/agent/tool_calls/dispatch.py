"""Carries out tool calls: permission, then the tool, then its result. Every write passes here."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Sequence
from dataclasses import replace

from localagent.agent.turn import Answer, GateVerdict, Turn
from localagent.context.builder import text_of
from localagent.core.changes import Change
from localagent.core.errors import (
    ChangeRefused,
    LocalAgentError,
    OutsideWorkspace,
    RefusedError,
    ToolError,
    WorkspaceError,
)
from localagent.core.events import (
    Blocked,
    Decision,
    Event,
    FileChanged,
    Question,
    ToolCalled,
    ToolReturned,
)
from localagent.core.messages import ToolCall, ToolResult
from localagent.core.path_names import MOST, listed, printable
from localagent.edits.diff import unified
from localagent.edits.textfile import decode, is_binary, plain_sha256
from localagent.redaction.secret_files import is_secret
from localagent.tools.base import HANDOFF, Confirmation, Effect, ToolContext
from localagent.workspace.workspace import Workspace

ENTERED_SECONDS = 24 * 3600.0
"""Seconds that a command that the user entered may run."""
_MAX_NAMES = 100  # in a question
_NO = "the user said no"


def permit(
    turn: Turn,
    tool: str,
    effect: Effect,
    subject: str,
    shown: str,
    *,
    entered: bool = False,
    aliases: Sequence[str] = (),
) -> Generator[Event, None, Decision]:
    """Decide whether `tool` may act on `subject`; ask the user if the rules say so.

    `aliases` are other names of the path `subject`, which rules may protect too.

    The user is not asked about a call that the user `entered`, and no mode stops such a call. Its
    changes are judged like those of the model's calls. The front end answers a `Question` before it
    pulls the next event; no answer means no. If the user edits a command, the decision's subject is
    the edited command.
    """
    verdict = turn.services.gate.decide(tool, effect, subject, turn.task_paths, entered=entered)
    for alias in aliases:
        other = turn.services.gate.decide(tool, effect, alias, turn.task_paths, entered=entered)
        # That the task does not name an alias is no reason to ask about a change.
        by_rule = effect == "read" or other.by in ("rule", "project")
        if other.action == "deny" or (verdict.action == "allow" and by_rule):
            verdict = other if verdict.action != "deny" else verdict
    if entered and verdict.action == "ask":
        decision = Decision(tool, subject, True, "user", "you entered it")
        yield decision
        return decision
    if verdict.action != "ask":
        decision = Decision(tool, subject, verdict.action == "allow", verdict.by, verdict.reason)
        yield decision
        return decision
    return (yield from _ask(turn, tool, effect, subject, shown, verdict.reason))


def _ask(
    turn: Turn, tool: str, effect: Effect, subject: str, shown: str, reason: str
) -> Generator[Event, None, Decision]:
    """Ask the user whether `tool` may act on `subject`. See `permit`.

    The user sees exactly what is allowed: a placeholder could hide a part of a command or a change.
    """
    number = turn.ledger.next("question")
    if tool != HANDOFF.name:  # its subject may be several files
        turn.questions[number] = (effect, subject)
    asked = time.monotonic()
    preview = shown if turn.services.interactive else turn.services.redactor.redact(shown)
    yield Question(number, tool, subject, preview, reason)
    turn.ledger.waited += time.monotonic() - asked
    turn.questions.pop(number, None)
    turn.ensure_within_limits()  # an interrupt instead of an answer does not count as a refusal
    if number in turn.answers:
        decision = _answered(turn, tool, effect, subject, turn.answers.pop(number))
    else:
        decision = Decision(tool, subject, False, "nobody", "there was nobody to ask")
    yield decision
    return decision


def _answered(turn: Turn, tool: str, effect: Effect, subject: str, answer: Answer) -> Decision:
    """The decision that an answer makes. Deny rules also apply to a command that the user edits."""
    gate = turn.services.gate
    reason, edited = answer.reason or ("" if answer.allowed else _NO), answer.edited.strip()
    if answer.allowed and effect == "execute" and edited and edited != subject:
        subject = edited
        verdict = gate.decide(tool, effect, subject, turn.task_paths)
        if verdict.action == "deny":
            return Decision(tool, subject, False, verdict.by, verdict.reason)
    remember = answer.remember and tool != HANDOFF.name
    if answer.allowed and remember and gate.rememberable(effect, subject):
        gate.remember(effect, subject)
        reason = "; ".join(part for part in (reason, "remembered") if part)
    return Decision(tool, subject, answer.allowed, "user", reason)


def _permit_handoff(turn: Turn, changes: Sequence[Change]) -> Generator[Event, None, Decision]:
    """Ask once about all files that a command changed, and that other programs run or that may hold
    secrets."""
    subject = listed([printable(change.path) for change in changes])
    first = changes[:MOST]
    shown = "\n".join(preview(turn.services.workspace, change) for change in first)
    if others := [printable(change.path) for change in changes[MOST:]]:
        shown += f"\n{len(others)} more files change: {listed(others, _MAX_NAMES)}"
    reasons = []
    if any(turn.services.gate.runs_later(change.path) for change in changes):
        reasons.append("what other programs run or obey later, outside of the sandbox")
    if any(is_secret(change.path) for change in changes):
        reasons.append("what looks like it holds a secret")
    reason = f"a command changed {', and '.join(reasons)}"
    return (yield from _ask(turn, HANDOFF.name, "write", subject, shown, reason))


def refusal(decision: Decision, *, ends_turn: bool = True) -> RefusedError:
    """The error for a refused action, with a hint for the user.

    If the turn does not end, the model reads the error, and goes on with the user's reason.
    """
    why = f": {decision.reason}" if decision.reason else ""
    hint = ""
    if decision.by == "nobody":
        hint = "answer the question in a terminal, name the file in the task, or pass --yes"
    elif decision.by == "user" and ends_turn:
        hint = "send the task again for another change, or say why not when you are asked"
    return RefusedError(f"{decision.tool} of {decision.subject} was refused{why}", hint)


def ensure_allowed(turn: Turn, path: str) -> Generator[Event, None, None]:
    """Raise RefusedError at once, before minutes of work, if no write to `path` can be permitted.

    Raises RefusedError.
    """
    verdict = turn.services.gate.decide("edit", "write", path, turn.task_paths)
    if verdict.action == "deny":
        decision = Decision("edit", path, False, verdict.by, verdict.reason)
    elif verdict.action == "ask" and not turn.services.interactive:
        decision = Decision("edit", path, False, "nobody", "there was nobody to ask")
    else:
        return
    yield decision
    raise refusal(decision)


def commit(turn: Turn, tool: str, changes: Sequence[Change]) -> Generator[Event, None, None]:
    """Apply `changes` to the workspace, after permission for each path.

    Either all changes are made or none. Raises RefusedError if a rule denies a change, and
    ChangeRefused if the user refuses it; the session then offers this change no more.
    """
    for change in changes:
        shown = preview(turn.services.workspace, change)
        decision = yield from permit(turn, tool, "write", change.path, shown)
        if not decision.allowed:
            error = refusal(decision)
            if decision.by == "user":
                turn.refused.add((change.path, plain_sha256(decode(change.data).text)))
                reason = "" if decision.reason == _NO else decision.reason
                message = error.message
                if len(changes) > 1:
                    message += (
                        f"; the changes of {len(changes)} files belong together, so none is made"
                    )
                raise ChangeRefused(message, error.hint, change.path, reason)
            raise error
    yield from write(turn, changes)


def write(turn: Turn, changes: Sequence[Change]) -> Generator[Event, None, list[FileChanged]]:
    """Apply permitted `changes`, and yield an event for each change."""
    done = _apply(turn, changes)
    turn.changed.extend(e.path for e in done if e.path not in turn.changed)
    yield from _hidden(turn, done)
    return done


def _apply(turn: Turn, changes: Sequence[Change]) -> list[FileChanged]:
    for change in changes:
        if change.path not in turn.originals:
            turn.originals[change.path] = text_of(turn.services.workspace, change.path)
    return turn.services.journal.apply(changes)


def _hidden(turn: Turn, done: Sequence[FileChanged]) -> Sequence[FileChanged]:
    """The events of changes, with redacted diffs, because the transcript keeps the events."""
    return [replace(event, diff=turn.services.redactor.redact(event.diff)) for event in done]


def preview(workspace: Workspace, change: Change) -> str:
    """A change as shown to the user: a unified diff, or one line for a change without text."""
    if change.kind == "symlink":
        return f"{printable(change.path)} becomes a link to {printable(os.fsdecode(change.data))}"
    if change.kind not in ("file", "absent"):
        return f"{change.path} becomes a {change.kind}"
    there = workspace.exists(change.path) and workspace.path(change.path).is_file()
    before = workspace.read_bytes(change.path) if there else b""
    if is_binary(before) or is_binary(change.data):
        return f"{change.path}: binary, {len(before)} → {len(change.data)} bytes"
    after = decode(change.data).text if change.kind == "file" else None
    return unified(change.path, decode(before).text if there else None, after)


def act(turn: Turn, call: ToolCall, *, entered: bool = False) -> Generator[Event, None, ToolResult]:
    """Carry out one tool call of the model, or of the user if the call is `entered`.

    A faulty or refused call gets a result that tells the model how to correct the call.
    """
    number = turn.ledger.next("call")
    yield ToolCalled(number, call.name, call.arguments)
    try:
        result = yield from _perform(turn, call, entered)
    except (ToolError, RefusedError, WorkspaceError) as error:
        text = error.message + (f" ({error.hint})" if error.hint else "")
        result = ToolResult(False, text, text)
        if isinstance(error, OutsideWorkspace):
            yield Blocked("path", call.arguments.get("path", call.name), error.message)
    hide = turn.services.redactor.redact
    result = replace(result, for_model=hide(result.for_model), for_person=hide(result.for_person))
    yield from turn.drain_reads()
    yield from turn.drain_redactions()
    yield ToolReturned(number, call.name, result.ok, result.for_model, result.for_person)
    return result


def _perform(turn: Turn, call: ToolCall, entered: bool) -> Generator[Event, None, ToolResult]:
    tool = turn.services.tools.get(call.name)
    if tool is None:
        known = ", ".join(sorted(turn.services.tools))
        raise ToolError(f"there is no tool {call.name!r}; the tools are: {known}")
    done: list[FileChanged] = []
    refused: dict[str, str] = {}

    def denies(path: str) -> bool:
        verdicts = _verdicts(turn, path, entered)
        reason = next((verdict.reason for verdict in verdicts if verdict.action == "deny"), "")
        refused.update({path: reason} if reason else {})
        return bool(reason)

    def asks(path: str) -> bool:
        verdicts = _verdicts(turn, path, entered)
        return bool(verdicts) and all(verdict.action == "ask" for verdict in verdicts)

    context = ToolContext(
        workspace=turn.services.workspace,
        sandbox=turn.services.sandbox,
        apply=lambda changes: done.extend(_apply(turn, changes)),
        record_read=turn.record_read,
        redactor=turn.services.redactor,
        denies=denies,
        asks=asks,
        runs_later=turn.services.gate.runs_later,
        may_have=lambda pattern, files, regex: turn.services.index.may_have(
            pattern, files, regex=regex
        ),
        cancelled=turn.stop.is_set,
        shell_seconds=_shell_seconds(turn, entered),
        entered=entered,
    )
    action = tool.prepare(call.arguments, context)
    what = (action.effect, action.subject, action.preview)
    decision = yield from permit(turn, call.name, *what, entered=entered, aliases=action.aliases)
    if not decision.allowed:
        raise refusal(decision, ends_turn=False)
    edited = decision.subject != action.subject
    if edited:
        action = tool.prepare({**call.arguments, "body": decision.subject}, context)
    failure: LocalAgentError | None = None
    try:
        outcome = action.perform()
        if isinstance(outcome, Confirmation):
            consent = yield from _permit_handoff(turn, outcome.changes)
            outcome = outcome.resume(consent.allowed)
        result = outcome
    except LocalAgentError as error:
        failure = error
    turn.changed.extend(e.path for e in done if e.path not in turn.changed)
    yield from _hidden(turn, done)
    yield from [Blocked("path", path, reason) for path, reason in refused.items()]
    if failure is not None:
        raise failure
    if edited:
        text = turn.services.prompts.render(
            "react/edited", command=decision.subject, result=result.for_model
        )
        result = replace(result, for_model=text)
    return result


def _verdicts(turn: Turn, path: str, entered: bool) -> list[GateVerdict]:
    """The verdicts on a change of `path` by each tool that changes files."""
    decide = turn.services.gate.decide
    writers = [t.spec.name for t in turn.services.tools.values() if t.spec.effect == "write"]
    return [decide(tool, "write", path, turn.task_paths, entered=entered) for tool in writers]


def _shell_seconds(turn: Turn, entered: bool) -> float:
    """The time limit of a command; a command of the user runs until the user stops it."""
    left = turn.seconds_left()
    limit = ENTERED_SECONDS if entered else turn.services.check_seconds
    return limit if left is None else max(1.0, min(limit, left))

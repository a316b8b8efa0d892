"""The events of a session, as plain values.

The terminal, `--json`, transcript, replay, tests and benchmarks read only these events. `from_dict`
reverses `to_dict`. The `type` of an event is its class name in snake case ("text_delta"). Times are
in seconds, lengths of text in tokens, and paths relative to the workspace.
"""

from __future__ import annotations

import re
import types
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

EVENTS_VERSION = 1
"""The version of the JSON form. It rises if a program that reads the present form would fail; new
events and new fields do not raise it. `docs/events.schema.json` is the form's JSON Schema."""

Outcome = Literal[
    "solved",  # a check passed
    "answered",  # nothing was changed and nothing needed checking
    "unverified",  # changed, but no check or test ran it, or a plan's step leaves the check failing
    "unsolved",  # a check still fails, or the model found nothing to change
    "refused",  # a rule, the sandbox or the user said no
    "failed",  # the model or its backend failed
    "limit",  # a limit on time or tokens was reached
    "interrupted",  # the user stopped the turn
    "error",  # the request was wrong or impossible
]

Mode = Literal["plan", "ask", "auto-edit", "auto"]
"""The actions that run without a question to the user: reading and searching; actions that the
rules allow; edits, too; and every action that no rule denies, if a sandbox confines commands."""

MODES: tuple[Mode, ...] = ("plan", "ask", "auto-edit", "auto")
"""The modes, from the strictest to the freest."""


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """The first event of every run. `read_only`: another session holds the workspace. `egress` is
    the state of the egress lock, or "". `ports` of this machine are open to commands. `events` is
    the version of the events' JSON form."""

    session: str
    workspace: str
    model: str
    model_sha256: str
    planner: str
    sandbox: str
    version: str
    read_only: bool
    resumed: bool = False
    egress: str = ""
    ports: list[int] = field(default_factory=list)
    events: int = EVENTS_VERSION


@dataclass(frozen=True, slots=True)
class ModelSwitched:
    """Another model serves `role` ("main", "small", "planner") from now on. `planner` is the
    planner of the main model. `why` is "chosen", or the error of the previous model."""

    role: str
    model: str
    model_sha256: str
    planner: str
    why: str


@dataclass(frozen=True, slots=True)
class ModeChanged:
    """The new mode; a session begins with "ask"."""

    mode: Mode


@dataclass(frozen=True, slots=True)
class SessionTitled:
    """The title of the session, a few words."""

    title: str


TurnKind = Literal["task", "command", "check", "plan", "step", "last-step"]
"""The kinds of turns: a task for the model; a command or check of the user; a task to plan; a step
of a plan, and the plan's last open step."""


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """A turn begins. Turns of a session count from 1."""

    turn: int
    prompt: str
    check: str = ""
    kind: TurnKind = "task"


@dataclass(frozen=True, slots=True)
class MessageAdded:
    """A message joins the conversation; a resumed session starts with the recorded messages.
    `asked` is `messages.PromptRecord` as a dict for an answer that the next prompt may continue, or
    empty. `thought` is what the model wrote before its reply, `calls` are the tools that it calls
    in its native form. `tool` is the tool whose result a message of the role "user" is."""

    role: Literal["system", "user", "assistant"]
    content: str
    asked: dict[str, object] = field(default_factory=dict)
    thought: str = ""
    calls: list[str] = field(default_factory=list)
    tool: str = ""


@dataclass(frozen=True, slots=True)
class Steered:
    """A text that the user added during a turn joins the conversation."""

    text: str


@dataclass(frozen=True, slots=True)
class ConversationReplaced:
    """These messages replace the conversation, each with "role" and "content"."""

    messages: list[dict[str, str]]


PlanStep = dict[str, str]
"""A step of a plan: its "text" and its "state" ("left", "done", "unverified" or "failed")."""


@dataclass(frozen=True, slots=True)
class PlanChanged:
    """A new plan for `task`, or a new state of one of its steps."""

    task: str
    steps: list[PlanStep]


@dataclass(frozen=True, slots=True)
class Rewound:
    """The user rewound the conversation to its state before `turn`. `undone` names the later turns
    whose changes were undone too, as SESSION:TURN."""

    turn: int
    undone: list[str]


@dataclass(frozen=True, slots=True)
class ChangesUndone:
    """The user undid the changes of a turn of this or another session. With `again`, the user redid
    them."""

    session: str
    turn: int
    changed: list[str]
    again: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """The agent begins a step. `name` is for programs ("localise"), `detail` for users."""

    name: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ModelRequested:
    """A request to a model. `purpose` names the step; `prompt` is the whole prompt. `stream`
    numbers concurrent requests from 0; the replies may come in any order. `model` is the model's
    id."""

    purpose: str
    prompt: str
    stream: int = 0
    model: str = ""


@dataclass(frozen=True, slots=True)
class ModelReading:
    """Progress of a model that reads its prompt; `seconds_left` is an estimate, or None."""

    done: int
    total: int
    reused: int
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The next piece of a reply."""

    text: str
    stream: int = 0


@dataclass(frozen=True, slots=True)
class ThoughtDelta:
    """The next piece of the thought before a reply."""

    text: str
    stream: int = 0


@dataclass(frozen=True, slots=True)
class ModelReplied:
    """The whole reply of a model, the reason for its end, and its cost.

    `thought` came before the reply, and took `thought_tokens` of the `completion_tokens`.
    """

    purpose: str
    text: str
    finish: str
    prompt_tokens: int
    reused_tokens: int
    completion_tokens: int
    prefill_seconds: float
    decode_seconds: float
    stream: int = 0
    thought: str = ""
    thought_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """The model calls a tool. The decision on permission follows."""

    call: int
    tool: str
    arguments: dict[str, str]


@dataclass(frozen=True, slots=True)
class ToolReturned:
    """A tool's result: a text for the model and a text for the user."""

    call: int
    tool: str
    ok: bool
    for_model: str
    for_person: str


@dataclass(frozen=True, slots=True)
class Question:
    """A question for the user: may the tool act on `subject`? The front end answers with
    `session.answer` before it takes the next event; no answer means no. `preview` is exactly the
    command or change."""

    id: int
    tool: str
    subject: str
    preview: str
    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The user's answer to a `Question`; not an event.

    `reason` goes to the model. `remember` allows exactly this action in this workspace from now on.
    `edited` is the command as the user changed it, or "".
    """

    allowed: bool
    reason: str = ""
    remember: bool = False
    edited: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision on an action, and who made it ("rule", "flag", "user", "nobody")."""

    tool: str
    subject: str
    allowed: bool
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Blocked:
    """An attempt that a guard stopped, not only a rule. `kind` is "path" for a path out of the
    workspace, else the name of the guard. `subject` is the text of the attempt."""

    kind: str
    subject: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FileRead:
    """A prompt holds a file or parts of it.

    `sha256` is the hash of the whole file, or "" for a submodule. `path` is absolute for the user's
    rules, prompts and commands, since they lie outside the workspace.
    """

    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class CandidateProposed:
    """A candidate for a change, from `strategy`; `of` is the planned maximum, or 0."""

    number: int
    of: int
    strategy: str
    paths: list[str]


@dataclass(frozen=True, slots=True)
class CandidateRejected:
    """A candidate gets no check, because it does not parse or repeats an earlier candidate."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class CandidatesJudged:
    """Small changes from `strategy` ran the failing tests; a real check follows for each that looks
    good. `count` is the number of changes since the last event, `last` the last one's number."""

    count: int
    last: int
    strategy: str
    paths: list[str]
    seconds: float


@dataclass(frozen=True, slots=True)
class CheckStarted:
    """A check runs on a candidate; candidate 0 is the unchanged workspace."""

    command: str
    candidate: int = 0


@dataclass(frozen=True, slots=True)
class CheckFinished:
    """A check's result. `tests_passed` and `tests_failed` are None if the output has no counts.
    `output` is shortened for users."""

    command: str
    candidate: int
    ok: bool
    exit_code: int
    tests_passed: int | None
    tests_failed: int | None
    seconds: float
    output: str


@dataclass(frozen=True, slots=True)
class BestCandidate:
    """The best change of a search in which nothing passed the check. `patch` is the file with its
    diff for `git apply`; `passed_before` tests pass without the change."""

    number: int
    paths: list[str]
    tests_passed: int
    tests_failed: int
    passed_before: int
    patch: str


@dataclass(frozen=True, slots=True)
class FileChanged:
    """A file of the workspace changed; `diff` is unified, and empty for a binary file."""

    path: str
    before_sha256: str | None
    after_sha256: str | None
    diff: str


@dataclass(frozen=True, slots=True)
class Warned:
    """A warning, which does not end the turn. With `lost` the reply in progress is lost, and the
    agent requests the reply again."""

    text: str
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """An error that ends the turn; `kind` is the name of the error's class."""

    kind: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class TurnFinished:
    """The last event of a turn. `how` names the source of the result ("infill 7"). `sources` are
    the definitions that an answer is about ("src/app.py:12 main")."""

    turn: int
    outcome: Outcome
    exit_code: int
    summary: str
    check: str
    how: str
    changed: list[str]
    seconds: float
    prompt_tokens: int
    reused_tokens: int
    completion_tokens: int
    sources: list[str] = field(default_factory=list)


Event = Union[  # noqa: UP007 - a runtime tuple of the classes is taken from it below
    SessionStarted,
    ModelSwitched,
    ModeChanged,
    SessionTitled,
    TurnStarted,
    MessageAdded,
    Steered,
    ConversationReplaced,
    PlanChanged,
    Rewound,
    ChangesUndone,
    Step,
    ModelRequested,
    ModelReading,
    TextDelta,
    ThoughtDelta,
    ModelReplied,
    ToolCalled,
    ToolReturned,
    Question,
    Decision,
    Blocked,
    FileRead,
    CandidateProposed,
    CandidateRejected,
    CandidatesJudged,
    BestCandidate,
    CheckStarted,
    CheckFinished,
    FileChanged,
    Warned,
    Failed,
    TurnFinished,
]


def type_name(cls: type) -> str:
    """The name of an event class in the JSON form: "text_delta" for TextDelta."""
    if cls is ModelRequested:
        return "model_asked"  # its name in the transcripts and scripts of version 0.1.0
    return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


TYPES: dict[str, type] = {type_name(cls): cls for cls in get_args(Event)}


def to_dict(event: Event) -> dict[str, Any]:
    """The JSON form of an event: its `type` and its fields."""
    values = {f.name: getattr(event, f.name) for f in fields(event)}
    return {"type": type_name(type(event)), **values}


def from_dict(data: dict[str, Any]) -> Event:
    """The event whose JSON form is `data`; unknown fields are ignored. Raises ValueError for
    an unknown type, a missing field or a value of the wrong type."""
    cls = TYPES.get(str(data.get("type")))
    if cls is None or not is_dataclass(cls):
        raise ValueError(f"unknown event type {data.get('type')!r}")
    hints = get_type_hints(cls)
    known = {f.name: data[f.name] for f in fields(cls) if f.name in data}
    for name, value in known.items():
        if not _fits(value, hints[name]):
            raise ValueError(f"{data['type']}.{name} has the wrong type: {value!r}")
    try:
        event: Event = cls(**known)  # type: ignore[assignment]  # TYPES holds events only
    except TypeError as error:
        raise ValueError(f"incomplete {data['type']} event: {error}") from None
    return event


def _fits(value: object, hint: Any) -> bool:
    """Whether a `value` from JSON has the type `hint` of an event's field."""
    origin = get_origin(hint)
    if origin is Literal:
        return value in get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, part) for part in get_args(hint))
    if origin is list:
        return isinstance(value, list) and all(_fits(item, get_args(hint)[0]) for item in value)
    if origin is dict:
        return isinstance(value, dict) and all(_fits(v, get_args(hint)[1]) for v in value.values())
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)

"""The event stream: everything that happens in a session, as plain values.

Terminal, `--json`, transcript, replay, tests and benchmarks read these events and nothing else.
`to_dict` and `from_dict` are inverse to each other; an event's `type` is its class name in
snake case ("text_delta"). Times are seconds, counts of text are tokens, paths are relative to
the workspace.
"""

from __future__ import annotations

import re
import types
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

Outcome = Literal[
    "solved",  # a check passed
    "answered",  # nothing was changed and nothing needed checking
    "unverified",  # changed, and there was no check to run, or it still fails in a plan's step
    "unsolved",  # a check still fails, or the model found nothing to change
    "refused",  # a rule, the sandbox or the user said no
    "failed",  # the model or its backend failed
    "limit",  # a limit on time or tokens was reached
    "interrupted",  # the user stopped the turn
    "error",  # the request could not be carried out as put
]

Mode = Literal["plan", "ask", "auto-edit", "auto"]
"""How much may be done without asking: nothing but reading and searching; what the rules allow;
edits, too; everything that no rule denies, where a sandbox confines commands."""

MODES: tuple[Mode, ...] = ("plan", "ask", "auto-edit", "auto")
"""From the strictest to the freest."""


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """The first event of every run. `read_only` says that another session holds the workspace,
    `egress` how the process is kept from the network ("" where it is not), `ports` are those of
    this machine that commands may connect to."""

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


@dataclass(frozen=True, slots=True)
class ModelSwitched:
    """Another model serves `role` ("main", "small", "planner") from now on, and, where that is
    main, `planner` plans. `why` is "chosen" or the error of the one before."""

    role: str
    model: str
    model_sha256: str
    planner: str
    why: str


@dataclass(frozen=True, slots=True)
class ModeChanged:
    """How much may be done without asking from now on; a session begins with "ask"."""

    mode: Mode


@dataclass(frozen=True, slots=True)
class SessionTitled:
    """What the session is about, in a few words."""

    title: str


TurnKind = Literal["task", "command", "check", "plan", "step", "last-step"]
"""A task for the model; for the user alone a command, or the project's check; a task that a plan is
made for; a step of a plan, and the last that is left of it."""


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """The user asked for something. Turns of a session count from 1."""

    turn: int
    prompt: str
    check: str = ""
    kind: TurnKind = "task"


@dataclass(frozen=True, slots=True)
class MessageAdded:
    """A message became part of the conversation; a resumed session starts from these. `asked` is
    `messages.Asked` as a dict, of an answer that the next question may go on from; or empty."""

    role: Literal["system", "user", "assistant"]
    content: str
    asked: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Steered:
    """What the user said in the middle of a turn, as it joins the conversation."""

    text: str


@dataclass(frozen=True, slots=True)
class ConversationReplaced:
    """The conversation goes on from these messages instead, each with "role" and "content"."""

    messages: list[dict[str, str]]


PlanStep = dict[str, str]
"""A step of a plan: "text", and "state", which is "left", "done" or "failed"."""


@dataclass(frozen=True, slots=True)
class PlanChanged:
    """There is a plan for `task`, or it is another one, or a step has another state."""

    task: str
    steps: list[PlanStep]


@dataclass(frozen=True, slots=True)
class Rewound:
    """The user went back to before `turn`: the conversation is as it was then. `undone` are the
    turns, from then on, whose changes were taken back, as SESSION:TURN."""

    turn: int
    undone: list[str]


@dataclass(frozen=True, slots=True)
class ChangesUndone:
    """The user took back what a turn of this or another session changed, or, where `again`, made
    it once more."""

    session: str
    turn: int
    changed: list[str]
    again: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """The agent begins something. `name` is for programs ("localise"), `detail` for people."""

    name: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ModelAsked:
    """The model is asked. `purpose` names the step; `prompt` is the whole text that it is shown.

    `stream` numbers requests that are made together, from 0; their replies come in any order.
    `model` is the id of the one that is asked.
    """

    purpose: str
    prompt: str
    stream: int = 0
    model: str = ""


@dataclass(frozen=True, slots=True)
class ModelReading:
    """The model reads its prompt; `seconds_left` is an estimate, or None where there is none."""

    done: int
    total: int
    reused: int
    seconds_left: float | None = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the reply, as it is written."""

    text: str
    stream: int = 0


@dataclass(frozen=True, slots=True)
class ModelReplied:
    """The whole reply, why it ended, and what it cost."""

    purpose: str
    text: str
    finish: str
    prompt_tokens: int
    reused_tokens: int
    completion_tokens: int
    prefill_seconds: float
    decode_seconds: float
    stream: int = 0


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """A tool is about to be used (permission comes after this)."""

    call: int
    tool: str
    arguments: dict[str, str]


@dataclass(frozen=True, slots=True)
class ToolReturned:
    """A tool's result: the half for the model and the half for the person."""

    call: int
    tool: str
    ok: bool
    for_model: str
    for_person: str


@dataclass(frozen=True, slots=True)
class Question:
    """May it? The front end answers with `session.answer` before it pulls the next event;
    unanswered means no. `preview` is exactly what would be run or changed."""

    id: int
    tool: str
    subject: str
    preview: str
    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the user said to a `Question`; not an event.

    `reason` goes to the model. `remember`: do not ask for exactly this again in this workspace,
    also in later sessions. `edited` is the command as the user changed it, or "" where it runs as
    it was shown.
    """

    allowed: bool
    reason: str = ""
    remember: bool = False
    edited: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided on an action, and by whom ("rule", "flag", "user", "nobody")."""

    tool: str
    subject: str
    allowed: bool
    by: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Blocked:
    """An attempt that was stopped by more than a rule. `kind` says at which border ("path": out of
    the workspace; others name the guard), `subject` what was tried, as it was written."""

    kind: str
    subject: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FileRead:
    """The model is shown a file, or parts of it; the hash is of the whole file, and "" where what
    is shown is no file (a submodule). The path is absolute for what is not of the workspace: the
    user's own rules, prompts and commands."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class CandidateProposed:
    """A possible change; `strategy` says how it was asked for, `of` the most that are planned
    (0 where that is open)."""

    number: int
    of: int
    strategy: str
    paths: list[str]


@dataclass(frozen=True, slots=True)
class CandidateRejected:
    """A candidate that was not worth checking: it does not parse, or repeats an earlier one."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class CheckStarted:
    """A check runs; `candidate` is 0 for the workspace as it is."""

    command: str
    candidate: int = 0


@dataclass(frozen=True, slots=True)
class CheckFinished:
    """A check's result. `tests_passed` and `tests_failed` are None where the output has no counts.
    `output` is shortened for people."""

    command: str
    candidate: int
    ok: bool
    exit_code: int
    tests_passed: int | None
    tests_failed: int | None
    seconds: float
    output: str


@dataclass(frozen=True, slots=True)
class FileChanged:
    """A file of the workspace was changed; `diff` is unified, empty for a binary file."""

    path: str
    before_sha256: str | None
    after_sha256: str | None
    diff: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that the user should know and that does not end the turn. With `lost`, what was
    being written is lost, and is asked for again."""

    text: str
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """An error that ends the turn; `kind` is the error's class."""

    kind: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class TurnFinished:
    """The last event of a turn. `how` says what found the result ("proposal 1", "infill 7")."""

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
    ModelAsked,
    ModelReading,
    TextDelta,
    ModelReplied,
    ToolCalled,
    ToolReturned,
    Question,
    Decision,
    Blocked,
    FileRead,
    CandidateProposed,
    CandidateRejected,
    CheckStarted,
    CheckFinished,
    FileChanged,
    Warned,
    Failed,
    TurnFinished,
]


def type_name(cls: type) -> str:
    """The name of an event class in the JSON form: "text_delta" for TextDelta."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


TYPES: dict[str, type] = {type_name(cls): cls for cls in get_args(Event)}


def to_dict(event: Event) -> dict[str, Any]:
    """The JSON form of an event: its fields and `type`."""
    values = {f.name: getattr(event, f.name) for f in fields(event)}
    return {"type": type_name(type(event)), **values}


def from_dict(data: dict[str, Any]) -> Event:
    """The event that `to_dict` made `data` of; unknown fields are ignored.

    Raises ValueError for an unknown type, a missing field or a value of the wrong type.
    """
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
    """Whether `value`, read from JSON, is of the type that an event's field declares."""
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

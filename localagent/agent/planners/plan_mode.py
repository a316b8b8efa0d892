"""Plan mode: a turn that reads and searches, writes a plan, and changes no file.

The harness finds the code that the task is about, as for a question. The model writes a numbered
list, under a grammar if the backend supports grammars. The mode is the same for every planner and
model.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Sequence

from localagent.agent.intent import code_name, new_names, step_text
from localagent.agent.limits import LOOP
from localagent.agent.model_calls import ask
from localagent.agent.planners.answer_prompt import build_prompt, opening
from localagent.agent.planners.base import PlannerDefaults, Result
from localagent.agent.repair.localize import missing_files, paths_in_task
from localagent.agent.turn import Services, Turn
from localagent.context.builder import text_of
from localagent.core.events import Event, PlanChanged, PlanStep, Step
from localagent.core.messages import Message
from localagent.models.base import Request

_ITEM = re.compile(
    r"^\s*(?:(?:step\s+)?\d{1,2}\s*[.):]|[-*+•]|\[[ xX~!]\])\s+(?P<rest>\S.*)$", re.IGNORECASE
)
_BOX = re.compile(r"^(?:\[(?P<state>[ xX~!]?)\]\s*)")
_BOLD = re.compile(r"\*\*")  # keeps "__", which Python's names contain
# Steps that change nothing are dropped: the harness runs the check after each step anyway.
_CHECKING = re.compile(
    r"^(?:(?:re-?)?(?:run|execute)\b.*\b(?:tests?|check|suite|pytest)\b|test the\b|verify\b"
    r"|understand\b|review\b|analy[sz]e\b)",
    re.IGNORECASE,
)
# A step that changes a function, not one that may only use it.
_CHANGES = re.compile(
    r"^In (?P<path>[^\s:]+): (?P<rest>(?:change|fix|let|remove|rename|replace)\b.*)", re.IGNORECASE
)
_STATES = {"x": "done", "~": "unverified", "!": "failed"}
_BOXES = {state: f"[{mark}]" for mark, state in _STATES.items()}


def read_reply(text: str) -> list[str]:
    """The steps in a model's reply; empty if the reply has no list."""
    steps = _json_steps(text) or [step["text"] for step in _items(text)]
    steps = [re.sub(r"\s+", " ", _BOLD.sub("", step)).strip() for step in steps]
    steps = [step for step in dict.fromkeys(steps) if step and not _CHECKING.match(step)]
    return steps[: LOOP.plan_steps]


def dropped_items(text: str) -> int:
    """How many items of a model's list change nothing or repeat another item."""
    return max(0, len(_items(text)) - len(read_reply(text)))


def carried_out(step: PlanStep) -> bool:
    """Whether a step is done, verified or not."""
    return step["state"] in ("done", "unverified")


def read_edited(text: str) -> list[PlanStep]:
    """Read the steps of a plan that the user edited: one step on each line, numbered or not.

    Lines that begin with "#" are comments. "[x]" marks a step as done.
    """
    steps: list[PlanStep] = []
    for line in map(str.strip, text.splitlines()):
        if line and not line.startswith("#"):
            item = None if _BOX.match(line) else _ITEM.match(line)
            steps.append(_step(item["rest"] if item else line))
    return steps


def editable_text(task: str, steps: Sequence[PlanStep]) -> str:
    """Format a plan as a text for the user to edit."""
    head = "".join(f"# {line}\n" for line in task.strip().splitlines())
    return head + "".join(f"{_BOXES.get(s['state'], '[ ]')} {s['text']}\n" for s in steps)


def numbered_list(steps: Sequence[PlanStep]) -> str:
    """Format a plan as a numbered list, for the model and the conversation."""
    return "\n".join(f"{number}. {step['text']}" for number, step in enumerate(steps, 1))


def _step(text: str) -> PlanStep:
    match = _BOX.match(text)
    state = _STATES.get(match["state"].lower(), "left") if match else "left"
    return {"text": _BOX.sub("", text).strip(), "state": state}


def _items(text: str) -> list[PlanStep]:
    """The items of a list, each with its indented continuation lines; code blocks are left out."""
    items: list[PlanStep] = []
    fenced = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or not line.strip():
            continue
        elif match := _ITEM.match(line):
            nested = items and line[:1].isspace() and not match["rest"][:1].isdigit()
            if nested:  # continues the item before it
                items[-1]["text"] += f" {match['rest'].strip()}"
            else:
                items.append(_step(match["rest"]))
        elif items and line[:1].isspace():
            items[-1]["text"] += f" {line.strip()}"
    return items


def _json_steps(text: str) -> list[str]:
    """The steps in a JSON list of texts, or of objects with one text each."""
    inside = text[text.find("[") : text.rfind("]") + 1]
    try:
        data = json.loads(inside) if inside else []
    except ValueError:
        return []
    texts = [next(iter(one.values()), "") if isinstance(one, dict) else one for one in data]
    return texts if all(isinstance(one, str) for one in texts) else []


_GRAMMAR = r"""
root ::= "1. " step ("2. " step ("3. " step ("4. " step ("5. " step)?)?)?)?
step ::= ({places}) [^ .\n{excluded}] sign{{8,200}} "."? "\n"
sign ::= [^.\n{excluded}] | "." [^ \n{excluded}]
verb ::= ("add" | "change" | "fix" | "let" | "move" | "remove" | "rename" | "replace" | "use") " "
new ::= [A-Za-z0-9_/-]{{1,40}} "." [a-z]{{1,5}}
"""
_CREATE = '"In a new file " new ": add "'


# Blocks of Chinese, Japanese and Korean signs in Unicode 16.
_CJK = r"\u1100-\u11ff\u2e80-\ua4cf\uac00-\ud7af\uf900-\ufaff\uff00-\uffef"


def plan_grammar(paths: Sequence[str], task: str) -> str:
    """The grammar of a plan of `task` for a project with these files.

    Each step names an existing or a new file, and says what changes in that file. Without the
    grammar, a small model's plans begin with "understand the task" and end with "test the change".
    Chinese, Japanese and Korean signs are left out unless `task` has some, because small models
    change to Chinese in the middle of an English step.
    """
    existing = " | ".join(json.dumps(path, ensure_ascii=False) for path in paths)
    places = f'"In " ({existing}) ": " verb | {_CREATE}' if existing else _CREATE
    excluded = "" if re.search(f"[{_CJK}]", task) else _CJK
    return _GRAMMAR.format(places=places, excluded=excluded)


class MakePlan(PlannerDefaults):
    """The planner of plan mode, which writes a plan and changes no file."""

    name = "plan"

    def opening(self, services: Services, conversation: Sequence[Message]) -> list[Message]:
        """The earlier questions and answers, as for a question."""
        return opening(services, conversation)

    def plan(self, turn: Turn) -> Generator[Event, None, Result]:
        """Ask the model for a plan, which becomes the assistant's message."""
        yield Step("search", "looking for what the task is about")
        services = turn.services
        named = paths_in_task(turn.typed, services.workspace, services.files())
        yield from missing_files(turn, named)
        task = services.prompts.render("plan/plan", task=turn.prompt.strip())
        prompt = yield from build_prompt(turn, named, task, LOOP.plan_tokens)
        yield from turn.drain_rule_warnings()
        request = Request(
            prompt.messages,
            max_tokens=LOOP.plan_tokens,
            grammar=plan_grammar(_likely_files(turn, named), turn.prompt),
            seed=turn.request.seed,
            fixed=1,
            continues=True,
        )
        reply = yield from ask(turn, "plan", request, services.planning)
        texts = [(text, moved_step(text, services)) for text in read_reply(reply.text)]
        if not texts:
            return Result("unsolved", "the model wrote no plan; rephrase the task")
        for old, new in texts:
            if old != new:
                yield Step("plan", f"moved a step to the file that defines its name: {new}")
        if dropped := dropped_items(reply.text):
            yield Step("plan", f"dropped {dropped} of the model's steps: repeated, or no change")
        steps = [{"text": text, "state": "left"} for text in dict.fromkeys(new for _, new in texts)]
        yield PlanChanged(turn.prompt.strip(), steps)
        yield prompt.answer_event(numbered_list(steps))
        return Result("answered", numbered_list(steps))


def moved_step(step: str, services: Services) -> str:
    """The step, in the file that defines the name that it changes.

    A small model often names the right function and the wrong file. The step stays as it is if the
    name may belong into its file, or if several files define the name.
    """
    match = _CHANGES.match(step)
    if match is None:
        return step
    names = new_names(step_text(step), text_of(services.workspace, match["path"]))
    if not names or names[0] != code_name(match["rest"]):
        return step
    paths = {symbol.path for symbol in services.index.definitions(names[0])}
    if len(paths) != 1 or match["path"] in paths:
        return step
    return f"In {paths.pop()}: {match['rest']}"


def _likely_files(turn: Turn, named: Sequence[str]) -> list[str]:
    """The files that the task may be about."""
    files = turn.services.files()
    if len(files) > LOOP.plan_paths:
        files = [hit.path for hit in turn.services.index.search(turn.prompt, LOOP.plan_paths)]
    return list(dict.fromkeys([*named, *files]))

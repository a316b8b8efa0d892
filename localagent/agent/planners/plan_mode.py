"""A turn that ends with a plan: it reads and searches, and changes nothing.

The harness finds the code that the task is about, as for a question; the model writes a numbered
list, under a grammar where the backend has one. The same for every planner and model: what a small
one can do, a large one can, too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Sequence

from localagent.agent.model_calls import ask
from localagent.agent.planners.answer_prompt import opening, put
from localagent.agent.planners.base import PlannerDefaults, Result
from localagent.agent.repair.localize import named_paths
from localagent.agent.turn import Services, Turn
from localagent.core.events import Event, PlanChanged, PlanStep, Step
from localagent.core.messages import Message
from localagent.models.base import Request

MOST = 8
"""Steps of a plan; a small model loses the thread sooner than that."""

_ITEM = re.compile(
    r"^\s*(?:(?:step\s+)?\d{1,2}\s*[.):]|[-*+•]|\[[ xX!]\])\s+(?P<rest>\S.*)$", re.IGNORECASE
)
_BOX = re.compile(r"^(?:\[(?P<state>[ xX!]?)\]\s*)")
_MARKS = re.compile(r"\*\*")  # not "__": it is in Python's names
# What changes nothing is no step: the check runs after each one anyway.
_CHECKING = re.compile(
    r"^(?:(?:re-?)?(?:run|execute)\b.*\b(?:tests?|check|suite|pytest)\b|test the\b|verify\b"
    r"|understand\b|review\b|analy[sz]e\b)",
    re.IGNORECASE,
)
_STATES = {"x": "done", "!": "failed"}
_BOXES = {"done": "[x]", "failed": "[!]"}


def read_reply(text: str) -> list[str]:
    """The steps in what a model wrote; none where it wrote no list."""
    found = _of_json(text) or [step["text"] for step in _items(text)]
    found = [re.sub(r"\s+", " ", _MARKS.sub("", step)).strip() for step in found]
    return [step for step in dict.fromkeys(found) if step and not _CHECKING.match(step)][:MOST]


def left_out(text: str) -> int:
    """How many items of the list that a model wrote are no steps, or are there already."""
    return max(0, len(_items(text)) - len(read_reply(text)))


def read_edited(text: str) -> list[PlanStep]:
    """The steps in what the user wrote: an item a line, numbered or not, all but those that begin
    with "#"; "[x]" says that one is done."""
    lines = [line.strip() for line in text.splitlines()]
    kept = [line for line in lines if line and not line.startswith("#")]
    return [_step(match["rest"] if (match := _numbered(line)) else line) for line in kept]


def written(task: str, steps: Sequence[PlanStep]) -> str:
    """A plan for the user to edit."""
    head = "".join(f"# {line}\n" for line in task.strip().splitlines())
    return head + "".join(f"{_BOXES.get(s['state'], '[ ]')} {s['text']}\n" for s in steps)


def numbered(steps: Sequence[PlanStep]) -> str:
    """A plan for the model, and for the record of what was said."""
    return "\n".join(f"{number}. {step['text']}" for number, step in enumerate(steps, 1))


def _numbered(line: str) -> re.Match[str] | None:
    return None if _BOX.match(line) else _ITEM.match(line)


def _step(text: str) -> PlanStep:
    match = _BOX.match(text)
    state = _STATES.get(match["state"].lower(), "left") if match else "left"
    return {"text": _BOX.sub("", text).strip(), "state": state}


def _items(text: str) -> list[PlanStep]:
    """The items of a list, each with the indented lines that follow it."""
    found: list[PlanStep] = []
    fenced = False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or not line.strip():
            continue
        elif match := _ITEM.match(line):
            nested = found and line[:1].isspace() and not match["rest"][:1].isdigit()
            if nested:  # a part of the step before
                found[-1]["text"] += f" {match['rest'].strip()}"
            else:
                found.append(_step(match["rest"]))
        elif found and line[:1].isspace():
            found[-1]["text"] += f" {line.strip()}"
    return found


def _of_json(text: str) -> list[str]:
    """The steps of a JSON list of texts, or of objects with one text each."""
    inside = text[text.find("[") : text.rfind("]") + 1]
    try:
        data = json.loads(inside) if inside else []
    except ValueError:
        return []
    texts = [next(iter(one.values()), "") if isinstance(one, dict) else one for one in data]
    return texts if all(isinstance(one, str) for one in texts) else []


REPLY_TOKENS = 400
PATHS = 60
"""Files that a step may name, the most likely ones of a large project."""

_GRAMMAR = r"""
root ::= "1. " step ("2. " step ("3. " step ("4. " step ("5. " step)?)?)?)?
step ::= ({places}) [^ .\n] sign{{8,200}} "."? "\n"
sign ::= [^.\n] | "." [^ \n]
verb ::= ("add" | "change" | "fix" | "let" | "move" | "remove" | "rename" | "replace" | "use") " "
new ::= [A-Za-z0-9_/-]{{1,40}} "." [a-z]{{1,5}}
"""
_CREATE = '"In a new file " new ": add "'


def plan_grammar(paths: Sequence[str]) -> str:
    """The grammar of a plan for a project that has these files.

    A small model's plans begin with understanding the task and end with testing it, unless each
    step has to name a file that is there, or is to be made, and what is done to it.
    """
    there = " | ".join(json.dumps(path, ensure_ascii=False) for path in paths)
    places = f'"In " ({there}) ": " verb | {_CREATE}' if there else _CREATE
    return _GRAMMAR.format(places=places)


class MakePlan(PlannerDefaults):
    """See the module's description."""

    name = "plan"

    def opening(self, services: Services, conversation: Sequence[Message]) -> list[Message]:
        """See `Planner.opening`."""
        return opening(services, conversation)

    def plan(self, turn: Turn) -> Generator[Event, None, Result]:
        """Write the plan; it becomes the assistant's message."""
        yield Step("search", "looking for what the task is about")
        services = turn.services
        named = named_paths(turn.prompt, services.workspace, services.index.files())
        task = services.prompts.render("plan/plan", task=turn.prompt.strip())
        new = yield from put(turn, named, task, REPLY_TOKENS)
        yield from turn.drain_rule_warnings()
        request = Request(
            new.messages,
            max_tokens=REPLY_TOKENS,
            grammar=plan_grammar(_likely(turn, named)),
            seed=turn.request.seed,
            fixed=1,
            continues=True,
        )
        reply = yield from ask(turn, "plan", request, services.planning)
        steps = [{"text": text, "state": "left"} for text in read_reply(reply.text)]
        if not steps:
            return Result("unsolved", "the model wrote no plan; put the task in other words")
        if without := left_out(reply.text):
            yield Step("plan", f"{without} of these are left out: said already, or no change")
        yield PlanChanged(turn.prompt.strip(), steps)
        yield new.answered(numbered(steps))
        return Result("answered", numbered(steps))


def _likely(turn: Turn, named: Sequence[str]) -> list[str]:
    """The files that the task may be about."""
    index = turn.services.index
    files = index.files()
    if len(files) > PATHS:
        files = [hit.path for hit in index.search(turn.prompt, PATHS)]
    return list(dict.fromkeys([*named, *files]))

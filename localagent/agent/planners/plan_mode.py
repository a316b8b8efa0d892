"""A turn that ends with a plan: it reads and searches, and changes nothing.

The harness finds the code that the task is about, as for a question; the model writes a numbered
list, under a grammar where the backend has one. The same for every planner and model: what a small
one can do, a large one can, too.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence

from localagent.agent.model_calls import ask
from localagent.agent.planners.answer_prompt import opening, put
from localagent.agent.planners.base import Result, Unshortened
from localagent.agent.planners.plan_text import left_out, numbered, read_reply
from localagent.agent.repair.localize import named_paths
from localagent.agent.rules import notices
from localagent.agent.turn import Services, Turn
from localagent.core.events import Event, PlanChanged, Step
from localagent.core.messages import Message
from localagent.models.base import Request

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


class MakePlan(Unshortened):
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
        yield from notices(turn)
        request = Request(
            new.messages,
            max_tokens=REPLY_TOKENS,
            grammar=plan_grammar(_likely(turn, named)),
            seed=turn.seed,
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

"""A turn that ends with a plan: it reads and searches, and changes nothing.

The harness finds the code that the task is about, as for a question; the model writes a numbered
list, under a grammar where the backend has one. The same for every planner and model: what a small
one can do, a large one can, too.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from localagent.agent.ask import ask
from localagent.agent.house_rules import notices
from localagent.agent.localise import named_paths
from localagent.agent.plan_text import numbered, read_reply
from localagent.agent.planners.base import Result, Unshortened
from localagent.agent.planners.shown_code import opening, put
from localagent.agent.turn import Services, Turn
from localagent.events import Event, PlanChanged, Step
from localagent.messages import Message
from localagent.models.base import Request

REPLY_TOKENS = 400
GRAMMAR = r"""
root ::= "1. " step ("2. " step ("3. " step ("4. " step ("5. " step ("6. " step)?)?)?)?)?
step ::= [^ \n] [^\n]{8,240} "\n"
"""


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
            grammar=GRAMMAR,
            seed=turn.seed,
            fixed=1,
            continues=True,
        )
        reply = yield from ask(turn, "plan", request, services.planning)
        steps = [{"text": text, "state": "left"} for text in read_reply(reply.text)]
        if not steps:
            return Result("unsolved", "the model wrote no plan; put the task in other words")
        yield PlanChanged(turn.prompt.strip(), steps)
        yield new.answered(numbered(steps))
        return Result("answered", numbered(steps))

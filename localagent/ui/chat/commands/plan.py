"""`/plan`: make a plan for a task, edit it, and carry it out step by step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from localagent.agent.planners.plan_mode import carried_out, editable_text, read_edited
from localagent.core.errors import UsageError
from localagent.core.events import PlanChanged, PlanStep
from localagent.ui.chat.commands.command import SlashCommand, from_words
from localagent.ui.chat.interface import Item, Output
from localagent.ui.view.format import count

if TYPE_CHECKING:
    from localagent.ui.chat.chat import LiveChat

_STATES = {"left": "to do", "unverified": "not verified"}
_DONE: dict[str, str] = {"solved": "done", "answered": "done", "unverified": "unverified"}
_HOW = "/plan TASK makes a plan"


def _plan(chat: LiveChat, text: str) -> Iterator[Item]:
    match text:
        case "":
            yield _plan_table(_current(chat))
        case "edit":
            yield from _edit(chat)
        case "run":
            yield from _run(chat)
        case "skip":
            yield from _skip(chat)
        case _:
            yield from make_plan(chat, text)


def make_plan(chat: LiveChat, task: str) -> Iterator[Item]:
    """Make a plan for a task, and name the commands that carry it out or change it."""
    before = chat.session.plan
    yield from chat.plan(task)
    plan = chat.session.plan
    if plan is not None and plan is not before and not chat.cancelled:
        many = count(len(plan.steps), "step")
        how = "/plan run carries out and checks each, /plan edit changes it"
        yield Output("note", f"a plan of {many}: {how}")


def _current(chat: LiveChat) -> PlanChanged:
    plan = chat.session.plan
    if plan is None or not plan.steps:
        raise UsageError("there is no plan", _HOW)
    return plan


def _plan_table(plan: PlanChanged) -> Output:
    rows = tuple(
        (str(n), _STATES.get(step["state"], step["state"]), step["text"])
        for n, step in enumerate(plan.steps, 1)
    )
    return Output("table", title=f"the plan for: {plan.task.splitlines()[0]}", rows=rows)


def _edit(chat: LiveChat) -> Iterator[Item]:
    plan = _current(chat)
    yield from chat.request("edit", editable_text(plan.task, plan.steps))
    edited = chat.response()
    if edited is None:
        yield Output("note", "the plan stays as it was")
        return
    steps = read_edited(edited)
    if not steps:
        raise UsageError("the text has no step, so the plan stays as it was", _HOW)
    yield from _save(chat, plan, steps)
    yield _plan_table(_current(chat))


def _save(chat: LiveChat, plan: PlanChanged, steps: Sequence[PlanStep]) -> Iterator[Item]:
    yield from chat.follow(chat.session.set_plan(plan.task, steps))


def _skip(chat: LiveChat) -> Iterator[Item]:
    plan = _current(chat)
    number = _next_step(plan)
    if number is None:
        raise UsageError("every step is done", _HOW)
    yield from _set_state(chat, plan, number, "done")
    yield _plan_table(_current(chat))


def _next_step(plan: PlanChanged) -> int | None:
    """Return the index of the first step that is not done."""
    return next((n for n, s in enumerate(plan.steps) if not carried_out(s)), None)


def _set_state(chat: LiveChat, plan: PlanChanged, number: int, state: str) -> Iterator[Item]:
    steps = [{**step, "state": state} if n == number else step for n, step in enumerate(plan.steps)]
    yield from _save(chat, plan, steps)


def _run(chat: LiveChat) -> Iterator[Item]:
    """Carry out the open steps in order; stop at a step that fails."""
    plan = _current(chat)
    if _next_step(plan) is None:
        raise UsageError(
            "every step is done", "/plan edit opens the plan; /plan TASK makes another"
        )
    if chat.mode == "plan":
        chat.set_mode("ask")
        yield Output("note", "the mode is ask from now on, to carry out the plan")
    while (number := _next_step(plan)) is not None:
        chat.outcome = ""
        others = [s for n, s in enumerate(plan.steps) if n != number and not carried_out(s)]
        yield from chat.step(_prompt(chat, plan, number), last=not others)
        if chat.cancelled or chat.outcome == "interrupted":
            yield Output("note", f"stopped at step {number + 1}; /plan run continues there")
            return
        done = chat.outcome in _DONE
        yield from _set_state(chat, plan, number, _DONE.get(chat.outcome, "failed"))
        plan = _current(chat)
        yield _plan_table(plan)
        if not done:
            yield Output("error", _failure(chat.outcome, number, plan), hint=_NEXT)
            return
    yield from _completed(plan)


def _completed(plan: PlanChanged) -> Iterator[Item]:
    text = f"the plan is done: {count(len(plan.steps), 'step')}"
    if unverified := sum(step["state"] == "unverified" for step in plan.steps):
        text += f", {unverified} not verified"
        yield Output(
            "note", text, hint="/check runs the check, /check fix lets the model repair it"
        )
    else:
        yield Output("note", text)


_NEXT = "/plan run tries again, /plan edit changes the plan, /plan skip skips the step"


def _failure(outcome: str, number: int, plan: PlanChanged) -> str:
    todo = sum(step["state"] == "left" for step in plan.steps)
    more = f", {count(todo, 'step')} to do" if todo else ""
    return f"step {number + 1} of {len(plan.steps)} failed ({outcome}){more}"


def _prompt(chat: LiveChat, plan: PlanChanged, number: int) -> str:
    return chat.session.services.prompts.render(
        "plan/step",
        step=plan.steps[number]["text"],
        number=str(number + 1),
        total=str(len(plan.steps)),
        task=plan.task,
    )


PLAN = SlashCommand(
    "plan",
    "[TASK|edit|run|skip]",
    "plan a task (read only); then edit the plan, or carry it out",
    _plan,
    from_words("edit", "run", "skip"),
)

"""The steps of a plan as text: what a model writes, and what the user edits.

    # Add a voucher to the cart
    [x] Add a field voucher to Cart in shop/cart.py
    [ ] Subtract the voucher in total() in shop/cart.py

Models number, bullet, wrap and decorate their lists as they like; all of that is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from localagent.core.events import PlanStep

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

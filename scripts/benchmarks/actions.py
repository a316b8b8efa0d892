"""`scripts/bench actions`: how many of a model's actions in `react` do not parse.

The benchmark sends the planner's requests for many small tasks, at a high temperature. The
planner's own parser reads each reply. `--free` leaves out the grammar, to test the parser alone.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from rows import REPO, machine, write_row

from localagent.agent.tool_calls.parse import action_grammar, parse_actions
from localagent.context.prompts import Prompts
from localagent.core.errors import ToolError
from localagent.core.messages import Message
from localagent.models.base import Finish, ModelInfo, Request, Text
from localagent.models.catalog import lock, verification
from localagent.models.llamacpp.backend import LlamaCpp
from localagent.tools.base import model_specs
from localagent.tools.registry import standard_tools

TOOLS = model_specs(standard_tools())
TASKS = (
    "Fix the failing test in tests/test_cart.py.",
    "Rename the function total in shop/cart.py to sum_of_items, everywhere.",
    "Add a --verbose flag to main.py.",
    "Where is the tax computed?",
    "Write a new file notes.md that says what this project does.",
    "Run the tests.",
    "Remove the unused import in shop/tax.py.",
    "The function discount(price, percent) returns a negative price for percent=120. Mend it.",
    "Translate the docstrings of shop/cart.py into German.",
    "Add a class Stack with push, pop and peek to util.py, with tests.",
)
RESULTS = (
    "",
    "1: def total(items):\n2:     return sum(i.price for i in items)\n3: \n4: # TODO: `tax`",
    "no such file; the nearest is shop/cart.py",
    "3 failed, 11 passed\nE   assert -20 == 0\ntests/test_cart.py:14: AssertionError",
    "```python\nprint('a fence in a result')\n```",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `scripts/bench actions`."""
    parser.add_argument("--model", help="a model of models.lock (default: its default)")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--free", action="store_true", help="without the grammar")
    parser.add_argument("--out", type=Path, default=REPO / ".bench" / "actions.jsonl")


def run(options: argparse.Namespace) -> int:
    """Request, parse and count actions; print those that do not parse."""
    entry = lock.load().entry(options.model)
    profile = entry.profile.profile()
    info = ModelInfo(entry.id, "llamacpp", "", profile)
    requests = [_request(number, options) for number in range(options.count)]
    kinds: Counter[str] = Counter()
    with LlamaCpp(verification.path_for(entry), info) as model:
        texts = [""] * len(requests)
        for place, chunk in model.generate_all(requests):
            if isinstance(chunk, Text):
                texts[place] += chunk.text
            elif isinstance(chunk, Finish):
                kinds[_kind(texts[place], chunk)] += 1
    row = {"model": entry.id, "free": options.free, "count": options.count, "kinds": dict(kinds)}
    write_row(options.out, {**row, "temperature": options.temperature, **machine()})
    print(f"{options.count} actions: {dict(kinds.most_common())}")
    return 0


def _request(number: int, options: argparse.Namespace) -> Request:
    """One of the tasks, alone or after a call and its result; each has its own seed."""
    prompts = Prompts()
    tools = "\n\n".join(prompts.text(spec.prompt) for spec in TOOLS.values())
    messages = [
        Message("system", prompts.render("react/system", tools=tools)),
        Message("user", TASKS[number % len(TASKS)]),
    ]
    result = RESULTS[number // len(TASKS) % len(RESULTS)]
    if result:
        shown = prompts.render("react/result", tool="read", result=result)
        call = "I look at the file.\n```read path=shop/cart.py\n```"
        messages += [Message("assistant", call), Message("user", shown)]
    grammar = None if options.free else action_grammar(TOOLS)
    return Request(
        messages, 400, temperature=options.temperature, seed=number, grammar=grammar, fixed=1
    )


def _kind(text: str, end: Finish) -> str:
    try:
        calls = parse_actions(text, TOOLS)
    except ToolError as error:
        print(f"malformed: {error.message}\n  {text[:300]!r}")
        return "malformed"
    if not calls:
        print(f"no call ({end.reason}): {text[:300]!r}")
        return "no call"
    return f"{calls[0].name}, cut off" if end.reason == "length" else calls[0].name

"""A long file without a failing test: what the task asks to add, and what it asks to rewrite."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from localagent.agent.checks.runner import CheckResult
from localagent.agent.limits import SEARCH
from localagent.agent.repair.candidates import Board, Draft, Strategy
from localagent.agent.repair.problem import Problem, open_file
from localagent.agent.repair.strategies import schedule_for
from localagent.agent.repair.strategies.function import new_function, rewrite
from localagent.core.errors import EditError
from tests.doubles.scripted_turn import prompt_of, scripted_turn

HEAD = '''import os


class Stack:
    """Numbers, the last one first."""

    def push(self, number):
        self.items.append(number)


def read_config(folder):
    """The settings in a folder."""
    return open(os.path.join(folder, "config")).read()
'''
TAIL = "".join(f"\n\ndef other_{n}(x):\n    return x + {n}\n" for n in range(400))
PASSES = CheckResult("pytest", True, 0, False, 0.1, "", (), 3, 0)


def drafts_of(folder: Path, task: str, strategy: Strategy) -> list[Draft]:
    (folder / "util.py").write_text(HEAD + TAIL)
    turn = scripted_turn(folder, task)
    problem = Problem("util.py", open_file(turn, "util.py"), PASSES, "pytest", ())
    return [draft for drafts in strategy(turn, problem, Board(PASSES)) for draft in drafts]


@pytest.mark.parametrize(
    ("task", "start", "words"),
    [
        ("add a function `strip`", "def strip(", "the new function `strip` for"),
        ("add a helper to util.py that strips slashes", "def", "the new function for"),
        ("add a class Clock", "class Clock", "the new class `Clock` for"),
        ("add a method peek to Stack", "def peek(", "the new method `peek` of `Stack` for"),
        ("add a method peek to Queue", "def peek(", "the new function `peek` for"),
    ],
)
def test_only_the_new_definition_is_written(
    tmp_path: Path, task: str, start: str, words: str
) -> None:
    draft = drafts_of(tmp_path, task, new_function)[0]
    assert draft.request is not None and draft.request.reply_start == f"```python\n{start}"
    assert words in prompt_of(draft)


@pytest.mark.parametrize("task", ["add a method push to Stack", "rename push", "add a test"])
def test_there_is_nothing_new_to_write(tmp_path: Path, task: str) -> None:
    assert drafts_of(tmp_path, task, new_function) == []


def test_a_method_goes_to_the_end_of_its_class(tmp_path: Path) -> None:
    draft = drafts_of(tmp_path, "add a method peek to Stack", new_function)[0]
    (text,) = draft.build("self):\n    return self.items[-1]\n")
    method = "\n    def peek(self):\n        return self.items[-1]\n"
    assert text == HEAD.replace("append(number)\n", f"append(number)\n{method}") + TAIL
    with pytest.raises(EditError, match="does not parse"):
        draft.build("self):")


def test_the_function_with_the_words_of_the_task_is_rewritten(tmp_path: Path) -> None:
    task = "in util.py, settings should also be found in a folder named etc"
    first = drafts_of(tmp_path, task, rewrite)[0]
    assert "Write `read_config` of `util.py` again" in prompt_of(first)
    assert "Failing now" not in prompt_of(first)
    assert "The fault is in" not in prompt_of(first)


def test_a_prompt_without_failing_tests_is_short(tmp_path: Path) -> None:
    first = drafts_of(tmp_path, "settings in a folder named etc", rewrite)[0]
    assert "def read_config" in prompt_of(first)
    assert len(prompt_of(first)) < 4 * SEARCH.task_tokens < len(HEAD + TAIL)


def test_the_schedule_of_a_long_file(tmp_path: Path) -> None:
    (tmp_path / "util.py").write_text(HEAD + TAIL)
    turn = scripted_turn(tmp_path)
    problem = Problem("util.py", open_file(turn, "util.py"), PASSES, "pytest", ())
    assert schedule_for(problem, is_step=False).first == [new_function, rewrite]
    problem = replace(problem, start=None)
    assert schedule_for(problem, is_step=False).first == [new_function, rewrite]
    failing = replace(PASSES, ok=False, output="1 failed", failed=1)
    problem = replace(problem, start=failing)
    assert schedule_for(problem, is_step=False).first[0] is not new_function

"""Several files of one turn: a change that helps stays, and one that is not needed goes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from localagent.agent.checks.runner import run_check
from localagent.agent.repair.file_searches import search_files
from localagent.agent.repair.problem import Problem, open_file
from localagent.agent.turn import Turn
from localagent.core.changes import file_change
from localagent.core.events import CheckFinished, Step
from localagent.models.scripted import ScriptedModel, ScriptedReply
from tests.doubles.scripted_sandbox import ScriptedSandbox, python_tests
from tests.doubles.scripted_turn import run_events, scripted_turn

PLUS = "def add(a, b):\n    return a - b\n"
TIMES = "def area(a, b):\n    return a + b\n\n\ndef one():\n    return 1\n"
TESTS = (
    "from plus import add\nfrom times import area, one\n\n"
    "def test_add():\n    assert add(2, 3) == 5\n\n"
    "def test_area():\n    assert area(2, 3) == 6\n\n"
    "def test_one():\n    assert one() == 1\n\n"
    "def test_one_again():\n    assert one() + 1 == 2\n"
)


def turn_with(folder: Path, plus: str, times: str) -> Turn:
    for name, text in (("plus.py", plus), ("times.py", times), ("shop_test.py", TESTS)):
        (folder / name).write_text(text)
    replies = [ScriptedReply("nothing", repeat=True)]
    return scripted_turn(folder, replies=replies, sandbox=ScriptedSandbox(python_tests))


def problems(turn: Turn, *paths: str) -> list[Problem]:
    start = run_events(run_check(turn, "pytest", trace=["plus.py", "times.py"]))[1]
    return [Problem(path, open_file(turn, path), start, "pytest", ()) for path in paths]


def test_a_change_that_helps_stays_for_the_next_file(tmp_path: Path) -> None:
    turn = turn_with(tmp_path, PLUS, TIMES)
    files = problems(turn, "plus.py", "times.py")
    events, candidate = run_events(search_files(turn, files, {}, 20.0))
    assert candidate is not None
    assert candidate.path == "times.py" and "return a * b" in candidate.text
    assert [change.path for change in candidate.others] == ["plus.py"]
    checks = [event for event in events if isinstance(event, CheckFinished)]
    assert not checks[-1].ok, "the last check tries the change without the others"


def test_a_change_that_is_not_needed_is_left_out(tmp_path: Path) -> None:
    also = TIMES.replace("a + b", "a - b if a - b else 6")
    turn = turn_with(tmp_path, PLUS.replace("a - b", "a + b"), also)
    (first,) = problems(turn, "times.py")
    needless = open_file(turn, "plus.py")
    assert needless is not None
    extra = file_change("plus.py", (needless.text + "\n# more\n").encode())
    events, candidate = run_events(search_files(turn, [replace(first, others=(extra,))], {}, 20.0))
    assert candidate is not None and candidate.others == ()
    checks = [event for event in events if isinstance(event, CheckFinished)]
    assert checks[-1].ok


def test_a_larger_model_repairs_what_the_main_one_has_not_solved(tmp_path: Path) -> None:
    wrong, right = "def add(a, b):\n    return len(a)\n", "def add(a, b):\n    return sum((a, b))\n"
    turn = turn_with(tmp_path, wrong, TIMES.replace("a + b", "a * b"))
    larger = ScriptedModel([ScriptedReply(right, repeat=True)])
    turn = replace(turn, services=replace(turn.services, repairing=larger))
    files = problems(turn, "plus.py")
    events, candidate = run_events(search_files(turn, files, {}, 20.0))
    steps = [event.detail for event in events if isinstance(event, Step)]
    assert steps[-1] == "asking scripted to repair plus.py"
    assert candidate is not None and candidate.text == right

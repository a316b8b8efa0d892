"""The search of whole turns: what the model is asked for, and which strategy finds the change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import pytest

from localagent.agent.loop import run_turn
from localagent.agent.planners.workflow import Workflow
from localagent.core.events import (
    BestCandidate,
    CandidateRejected,
    CheckFinished,
    Event,
    FileChanged,
    TurnFinished,
)
from localagent.edits.diff import unified
from localagent.models.base import Infill, Profile
from localagent.models.scripted import ScriptedModel, ScriptedReply
from tests.doubles.scripted_sandbox import ScriptedSandbox, python_tests
from tests.doubles.scripted_turn import scripted_turn

E = TypeVar("E")
TASK = "Fix calc.py so that the tests in calc_test.py pass"
GOOD = "def add(a, b):\n    return a + b\n"
BAD = "def add(a, b):\n    return a * b\n"
FAR_OFF = "def add(a, b):\n    return bool(a)\n"  # no change of one sign repairs it


class Run:
    """A turn under test, and the scripted model behind it."""

    def __init__(self, folder: Path, replies: list[str | ScriptedReply], profile: Profile) -> None:
        self._sandbox = ScriptedSandbox(python_tests)
        self._folder, self._replies, self._profile = folder, replies, profile
        self.model: ScriptedModel

    def turn(self, prompt: str, check: str = "pytest") -> list[Event]:
        turn = scripted_turn(
            self._folder,
            prompt,
            replies=self._replies,
            sandbox=self._sandbox,
            request={"check": check},
            **asdict(self._profile),
        )
        self.model = turn.services.model  # type: ignore[assignment]
        return list(run_turn(turn, Workflow()))


@pytest.fixture
def start() -> Callable[..., Run]:
    def start(
        folder: Path, replies: list[str | ScriptedReply], profile: Profile | None = None
    ) -> Run:
        return Run(folder, replies, profile or Profile())

    return start


def only(events: list[Event], cls: type[E]) -> list[E]:
    return [e for e in events if isinstance(e, cls)]


def finished(events: list[Event]) -> TurnFinished:
    assert isinstance(events[-1], TurnFinished)
    assert len(only(events, TurnFinished)) == 1
    return events[-1]


def test_the_first_candidate_that_passes_is_applied(start: Callable, workspace_dir: Path) -> None:
    (workspace_dir / "calc.py").write_text(FAR_OFF)
    run = start(workspace_dir, ["def add(a, b):\n    return not a\n", GOOD])
    events = run.turn(TASK)
    end = finished(events)
    assert (end.outcome, end.exit_code, end.changed) == ("solved", 0, ["calc.py"])
    assert (workspace_dir / "calc.py").read_text() == GOOD
    candidates = [c for c in only(events, CheckFinished) if c.candidate]
    numbers = [c.candidate for c in candidates] + [
        r.number for r in only(events, CandidateRejected)
    ]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    assert [c.ok for c in candidates] == [False] * (len(candidates) - 1) + [True]
    assert only(events, FileChanged)[0].diff.count("\n+") == 2  # the header and the new line


@pytest.mark.parametrize("about", [False, True])
def test_docstrings_that_the_model_leaves_out_stay(
    start: Callable, workspace_dir: Path, about: bool
) -> None:
    said = FAR_OFF.replace("\n", '\n    """The sum."""\n', 1)
    (workspace_dir / "calc.py").write_text(said)
    thoughts = f"# Step 1: add the two numbers.\n{GOOD}\n# Step 2: run the tests.\n"
    run = start(workspace_dir, [thoughts])
    finished(run.turn(f"{TASK}, without docstrings" if about else TASK))
    expected = thoughts if about else GOOD.replace("\n", '\n    """The sum."""\n', 1)
    assert (workspace_dir / "calc.py").read_text() == expected


@pytest.mark.parametrize(
    ("then", "outcome"),
    [
        (ScriptedReply("nothing", repeat=True), "unsolved"),
        (ScriptedReply(error="WorkerDied", repeat=True), "failed"),
    ],
)
def test_the_best_change_of_a_search_without_success_is_kept_as_a_patch(
    start: Callable, workspace_dir: Path, then: ScriptedReply, outcome: str
) -> None:
    before = FAR_OFF.replace("bool", "str")
    (workspace_dir / "calc.py").write_text(before)
    half = "def add(a, b):\n    return 0 if not a else [a, b]\n"  # passes one of two tests
    events = start(workspace_dir, [half, then]).turn(TASK)
    end = finished(events)
    assert (end.outcome, end.changed) == (outcome, [])
    (best,) = only(events, BestCandidate)
    assert (best.tests_passed, best.tests_failed, best.passed_before) == (1, 1, 0)
    assert Path(best.patch).read_text() == unified("calc.py", before, half)


def test_nothing_is_changed_where_no_candidate_passes(start: Callable, workspace_dir: Path) -> None:
    (workspace_dir / "calc.py").write_text(FAR_OFF)
    before = sorted((p.name, p.read_bytes()) for p in workspace_dir.iterdir() if p.is_file())
    bad = "def add(a, b):\n    return not a\n"
    run = start(workspace_dir, [bad, "not python at all (", ScriptedReply(bad, repeat=True)])
    events = run.turn(TASK)
    end = finished(events)
    assert (end.outcome, end.exit_code, end.changed) == ("unsolved", 1, [])
    reasons = [r.reason for r in only(events, CandidateRejected)]
    wrong = [reason for reason in reasons if reason != "it was tried before"]
    assert len(wrong) == 1 and "invalid syntax" in wrong[0]
    after = sorted((p.name, p.read_bytes()) for p in workspace_dir.iterdir() if p.is_file())
    assert after == before


def test_replies_that_change_nothing_are_not_told_as_tried(
    start: Callable, workspace_dir: Path
) -> None:
    (workspace_dir / "calc.py").write_text(GOOD)
    run = start(
        workspace_dir, [ScriptedReply(GOOD, repeat=True)], profile=Profile(candidates=2, fim=False)
    )
    end = finished(run.turn("Let calc.py print the sum"))
    assert (end.outcome, end.changed) == ("unsolved", [])
    assert end.summary == "no reply made a change that was worth checking; nothing was changed"


def test_infills_climb_from_the_best_candidate(start: Callable, workspace_dir: Path) -> None:
    (workspace_dir / "calc.py").write_text("def add(a, b):\n    pass\n")
    profile = Profile(fim=True, candidates=1)
    replies = [
        ScriptedReply(BAD, to="chat"),
        ScriptedReply("return a + b", to="infill", repeat=True),
    ]
    run = start(workspace_dir, replies, profile=profile)
    end = finished(run.turn(TASK))
    assert end.outcome == "solved"
    assert end.how.startswith("infill")
    infills = [r.prompt for r in run.model.requests if isinstance(r.prompt, Infill)]
    assert "# Must hold:" in infills[0].prefix


def test_a_wrong_sign_is_repaired_without_asking_for_it(
    start: Callable, workspace_dir: Path
) -> None:
    run = start(workspace_dir, [BAD])
    end = finished(run.turn(TASK))
    assert (end.outcome, end.how) == ("solved", "mutate 2")
    assert (workspace_dir / "calc.py").read_text() == GOOD
    assert len(run.model.requests) == 1


def test_a_second_slip_is_repaired_upon_the_first(start: Callable, workspace_dir: Path) -> None:
    (workspace_dir / "calc.py").write_text(
        "def add(a, b):\n    return a - b\n\n\ndef last(items):\n    return items[0]\n"
        "\n\ndef big(n):\n    return n > 9\n\n\ndef small(n):\n    return not big(n)\n"
    )
    (workspace_dir / "calc_test.py").write_text(
        "from calc import add, big, last, small\n\n\ndef test_add():\n    assert add(2, 3) == 5\n"
        "\n\ndef test_last():\n    assert last([1, 2]) == 2\n"
        "\n\ndef test_big():\n    assert big(10)\n\n\ndef test_small():\n    assert small(9)\n"
    )
    run = start(workspace_dir, [], profile=Profile(fim=False))
    end = finished(run.turn(TASK))
    assert end.outcome == "solved" and end.how.startswith("mutate")
    assert run.model.requests == []


def test_what_tests_tell_of_is_repaired_step_by_step(start: Callable, workspace_dir: Path) -> None:
    """Three lookups that should be calls and two missing texts, of which each alone makes no
    further test pass, are repaired without the model."""
    (workspace_dir / "calc_test.py").unlink()
    (workspace_dir / "say.py").write_text(
        "WORDS = {1: 'one', 2: 'two', 20: 'twenty'}\n\n\ndef say(n):\n    if n < 20:\n"
        "        return WORDS[n]\n    if n < 100:\n"
        "        return WORDS[n // 10 * 10] + (WORDS[n % 10] if n % 10 else '')\n"
        "    if n < 1000:\n"
        "        return WORDS[n // 100] + ' hundred' + (WORDS[n % 100] if n % 100 else '')\n"
        "    return WORDS[n // 1000] + ' thousand' + (WORDS[n % 1000] if n % 1000 else '')\n"
    )
    numbers = {
        1: "one", 20: "twenty", 22: "twenty-two", 100: "one hundred", 2000: "two thousand",
        122: "one hundred twenty-two", 22122: "twenty-two thousand one hundred twenty-two",
    }  # fmt: skip
    tests = [f"def test_{n}():\n    assert say({n}) == '{text}'\n" for n, text in numbers.items()]
    (workspace_dir / "say_test.py").write_text("from say import say\n\n\n" + "\n\n".join(tests))
    run = start(workspace_dir, [], profile=Profile(fim=False))
    end = finished(run.turn("Fix say.py so that the tests in say_test.py pass"))
    assert end.outcome == "solved" and end.how.startswith("repair")
    assert run.model.requests == []


def test_what_is_written_anew_is_repaired_before_more_is_written(
    start: Callable, workspace_dir: Path
) -> None:
    """Nothing passes but for the last of the first round of ideas, which is one sign from right."""
    (workspace_dir / "calc.py").write_text("def add(a, b):\n    return None\n")
    ideas = "Add the two numbers up.\n2. Use sum() on a list of both."
    wrong = [f"def add(a, b):\n    return {value}\n" for value in ("[a]", "[b]", "{a}")]
    replies = [wrong[0], wrong[1], ideas, wrong[2], BAD]
    run = start(workspace_dir, replies, profile=Profile(candidates=2, fim=False))
    end = finished(run.turn(TASK))
    assert end.outcome == "solved" and end.how.startswith("mutate")
    assert len(run.model.requests) == len(replies)


def test_the_right_parts_of_two_candidates_are_put_together(
    start: Callable, workspace_dir: Path
) -> None:
    (workspace_dir / "calc_test.py").unlink()
    (workspace_dir / "pair.py").write_text("def one():\n    pass\n\n\ndef two():\n    pass\n")
    (workspace_dir / "pair_test.py").write_text(
        "from pair import one, two\n\n\ndef test_one():\n    assert one() == 1\n\n\n"
        "def test_two():\n    assert two() == 2\n\n\n"
        "def test_both():\n    assert one() + two() == 3\n"
    )
    first = "def one():\n    return 1\n\n\ndef two():\n    return 3\n"
    second = (
        "def half():\n    return 1\n\n\ndef one():\n    return 9\n\n\n"
        "def two():\n    return half() * 2\n"
    )
    run = start(workspace_dir, [first, second], profile=Profile(candidates=2))
    end = finished(run.turn("Implement pair.py so that the tests in pair_test.py pass"))
    assert (end.outcome, end.how) == ("solved", "mix 3")
    text = (workspace_dir / "pair.py").read_text()
    assert "return 1" in text and "return half() * 2" in text and "return 9" not in text
    assert len(run.model.requests) == 2


def test_what_is_written_again_and_again_is_left_for_the_models_own_ideas(
    start: Callable, workspace_dir: Path
) -> None:
    (workspace_dir / "calc.py").write_text(FAR_OFF)
    ideas = "Add the two numbers up.\n2. Use sum() on a list of both.\n```python\n3. x\n```"
    replies = ["def add(a, b):\n    return not a\n", FAR_OFF, ideas, FAR_OFF, GOOD]
    run = start(workspace_dir, replies, profile=Profile(candidates=2, fim=False))
    assert finished(run.turn(TASK)).outcome == "solved"
    asked = [r.prompt[-1].content.splitlines()[-1] for r in run.model.requests]
    assert [line.split("this way: ")[1] for line in asked if "this way: " in line] == [
        "Add the two numbers up.",
        "Use sum() on a list of both.",
    ]


def test_a_reply_ends_where_it_begins_to_copy_the_tests(
    start: Callable, workspace_dir: Path
) -> None:
    (workspace_dir / "calc.py").write_text(FAR_OFF)
    run = start(workspace_dir, [GOOD])
    run.turn(TASK)
    assert "\ndef test_add(" in run.model.requests[0].stop


def test_a_passing_check_is_not_worked_on(start: Callable, workspace_dir: Path) -> None:
    (workspace_dir / "calc.py").write_text(GOOD)
    run = start(workspace_dir, [])
    end = finished(run.turn(TASK))
    assert (end.outcome, end.exit_code) == ("solved", 0)
    assert "already" in end.summary
    assert run.model.requests == []


def test_an_unclear_request_is_classified_by_the_model(
    start: Callable, workspace_dir: Path
) -> None:
    run = start(workspace_dir, ["answer", "Hello."])
    assert finished(run.turn("hello there", check="")).summary == "Hello."
    assert run.model.requests[0].choices == ("answer", "edit")

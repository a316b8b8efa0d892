"""Every text that the model sees, as golden files. `LOCALAGENT_UPDATE_GOLDEN=1` rewrites them."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest

from localagent.agent.checks.runner import CheckResult, TestResult
from localagent.agent.model_calls import transcript_form
from localagent.agent.planners.plan_mode import MakePlan
from localagent.agent.planners.react import act_request, system_prompt, system_text, tool_specs
from localagent.agent.planners.workflow import Workflow
from localagent.agent.repair.candidates import Board, Candidate
from localagent.agent.repair.problem import Problem, neighbor_paths, open_file
from localagent.agent.repair.strategies.body import body
from localagent.agent.repair.strategies.function import new_function, rewrite
from localagent.agent.repair.strategies.infill import infill
from localagent.agent.repair.strategies.passage import passage
from localagent.agent.repair.strategies.whole_file import (
    file_ideas,
    whole_file,
    whole_file_again,
    whole_file_cases,
)
from localagent.agent.small_tasks import StagedChanges, write_message, write_title
from localagent.agent.turn import Turn
from localagent.context.prompts import Prompts
from localagent.context.rules import PromptRules, RuleText
from localagent.core.changes import file_change
from localagent.core.events import MessageAdded
from localagent.history.sessions.conversation import ConversationLog
from localagent.models.base import Profile
from localagent.models.chat_templates.form import TemplateForm
from localagent.models.scripted import ScriptedModel
from localagent.workspace.git.commit import StagedFile
from tests.doubles.plain_turn import turn_in

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "prompts"
FAILING = CheckResult(
    command="python -m pytest -q",
    ok=False,
    exit_code=1,
    timed_out=False,
    seconds=0.5,
    output="1 failed, 1 passed",
    tests=(
        TestResult(
            "calc_test.py::test_add",
            "failed",
            "assert add(2, 3) == 5\nassert -1 == 5\n where -1 = add(2, 3)",
            (("calc_test.py", 5),),
            {"calc.py": frozenset({2})},
        ),
        TestResult("calc_test.py::test_zero", "passed", lines={"calc.py": frozenset({2})}),
    ),
    passed=1,
    failed=1,
)


@pytest.fixture
def turn(workspace_dir: Path) -> Turn:
    """A turn in the small project, with a task that names its files."""
    return turn_in(workspace_dir, fim=True, candidates=6)


@pytest.fixture
def problem(turn: Turn) -> Problem:
    old = open_file(turn, "calc.py")
    return Problem("calc.py", old, FAILING, FAILING.command, neighbor_paths("calc.py", [], FAILING))


def compare(name: str, text: str) -> None:
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("LOCALAGENT_UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text + "\n")
    assert text + "\n" == path.read_text(), f"{name} changed; look at it, then update the file"


def test_system_prompt_of_react(turn: Turn) -> None:
    compare("react-system", system_prompt(turn.services))


def test_system_prompt_and_tools_of_native_calls(turn: Turn) -> None:
    info = replace(
        turn.services.model.info,
        profile=Profile(calls="native"),
        form=TemplateForm(call_form="json", call_start="<tool_call>"),
    )
    tools, prompts = tool_specs(turn.services), turn.services.prompts
    schemas = json.loads(act_request(info, tools, prompts).tools)
    text = f"{system_text(info, tools, prompts)}\n{json.dumps(schemas, indent=1)}\n"
    compare("react-native", text + prompts.text("react/no-call"))


def test_what_the_user_did_in_a_session(turn: Turn) -> None:
    prompts = turn.services.prompts
    texts = [
        prompts.render("react/command", command="git status", result="exit code 0\nclean"),
        prompts.render("react/steered", text="Be short."),
        prompts.render("react/undone", files="calc.py, pkg/x.py"),
        prompts.render("react/done-again", files="calc.py"),
    ]
    compare("session", "\n---\n".join(texts))


def with_rules(turn: Turn) -> Turn:
    """The turn in a project with rules of all kinds, one of them too long."""
    long = "\n".join(f"- rule {number} of the project" for number in range(80))
    folder = RuleText("pkg/AGENTS.md", "What is in pkg is generated.\n")
    rules = PromptRules(
        [
            RuleText("/home/ada/AGENTS.md", "Answer in English.\n", own=True),
            RuleText("AGENTS.md", f"# House rules\n\n{long}\n"),
        ],
        lambda path: folder if path.startswith("pkg/") else None,
    )
    return replace(turn, services=replace(turn.services, rules=rules))


def test_rules(turn: Turn, problem: Problem) -> None:
    ruled = with_rules(turn)
    compare("rules-react", system_prompt(ruled.services))
    (draft,) = next(whole_file(ruled, replace(problem, path="pkg/x.py"), Board(FAILING)))
    compare("rules-whole", transcript_form(draft.request))
    folder = turn.services.workspace.path("pkg")
    folder.mkdir()
    (folder / "notes.md").write_text("It ads numbers, and finds calc.\n")
    ruled.request = replace(ruled.request, prompt="It should say adds numbers")
    notes = Problem("pkg/notes.md", open_file(ruled, "pkg/notes.md"), None, "", ())
    (draft,) = next(passage(ruled, notes, Board(None)))
    assert "What is in pkg is generated." in transcript_form(draft.request)


def test_passage_request(turn: Turn) -> None:
    turn.services.workspace.path("README.md").write_text("# Calc\n\nIt ads numbers.\n")
    problem = Problem("README.md", open_file(turn, "README.md"), None, "", ())
    turn = replace(turn, request=replace(turn.request, prompt="It should say adds numbers"))
    (draft,) = next(passage(turn, problem, Board(None)))
    compare("passage", transcript_form(draft.request))


def test_whole_file_requests(turn: Turn, problem: Problem) -> None:
    board = Board(FAILING)
    tried = Candidate(1, "file", "calc.py", "x", file_change("calc.py", b"x"), FAILING)
    drafts = [*next(whole_file(turn, problem, board))]
    board.add(tried)
    drafts += next(whole_file_again(turn, problem, board))
    assert len(drafts) == 6
    for number, draft in enumerate(drafts):
        compare(f"whole-{number}", transcript_form(draft.request))
    (first, *_) = next(whole_file_cases(turn, problem, board))
    compare("whole-cases", transcript_form(first.request))
    rounds = file_ideas(turn, problem, board)
    (question,) = next(rounds)
    compare("ideas", transcript_form(question.request))
    question.build(" Add up the two numbers.\n2. short\n3. Count up from the first number.\n")
    after = next(rounds)
    assert len(after) == 2
    compare("ideas-whole", transcript_form(after[0].request))


def test_a_reply_in_circles_is_gone_on_with(turn: Turn, problem: Problem) -> None:
    batches = whole_file(turn, problem, Board(FAILING))
    (draft,) = next(batches)
    draft.on_cut("def total(items):\n    x = items" + ".replace('-', ' ')" * 12)
    starts = [draft.request.reply_start for draft in next(batches)]
    begun = "```python\ndef total(items):\n    x = items"
    once = ".replace('-', ' ')"
    assert starts == [f"{begun}\n", f"{begun}{once}\n", f"{begun}{once}{once}\n"]


def test_a_long_reply_without_circles_is_not(turn: Turn, problem: Problem) -> None:
    batches = whole_file(turn, problem, Board(FAILING))
    (draft,) = next(batches)
    draft.on_cut("def total(items):\n    return sum(items)\n")
    assert list(next(batches)) == []


def test_a_new_file(turn: Turn, problem: Problem) -> None:
    new = replace(problem, path="new.py", old=None, start=None, neighbors=())
    (draft,) = next(whole_file(turn, new, Board(None)))
    compare("whole-new-file", transcript_form(draft.request))


def test_a_new_function_of_a_plan_s_step(turn: Turn, problem: Problem) -> None:
    step = replace(
        turn,
        request=replace(
            turn.request,
            kind="step",
            prompt="In calc.py: add a function `double`.\n\nThis is step 1 of 2.",
        ),
    )
    (draft,) = next(new_function(step, problem, Board(FAILING)))
    compare("new-function", transcript_form(draft.request))


def test_the_task_of_a_long_file_without_failing_tests(turn: Turn, problem: Problem) -> None:
    passing = replace(problem, start=None, neighbors=())
    turn.request = replace(turn.request, prompt="Let add take three numbers")
    (draft, *_) = next(rewrite(turn, passing, Board(None)))
    compare("rewrite-task", transcript_form(draft.request))
    turn.request = replace(turn.request, prompt="Add a helper that doubles a number")
    (draft,) = next(new_function(turn, passing, Board(None)))
    compare("new-function-task", transcript_form(draft.request))


@pytest.mark.parametrize("strategy", [rewrite, body, infill])
def test_first_request_of(turn: Turn, problem: Problem, strategy) -> None:
    (draft, *_) = next(strategy(turn, problem, Board(FAILING)))
    compare(f"{strategy.__name__}-first", transcript_form(draft.request))


def test_requests_of_a_strategy_share_their_start(turn: Turn, problem: Problem) -> None:
    board = Board(FAILING)
    batches = chain(whole_file(turn, problem, board), whole_file_again(turn, problem, board))
    texts = [transcript_form(draft.request) for drafts in batches for draft in drafts]
    shared = os.path.commonprefix(texts)  # noqa: RUF071 - characters are what is meant
    assert shared.endswith(
        "# Reply\nWrite the complete new content of `calc.py`, in one code block"
    )


@pytest.mark.parametrize("lines", [1, 100], ids=["short", "long"])
def test_commit_message(lines: int) -> None:
    diff = "@@ -1,2 +1,2 @@\n def add(a, b):\n-    return a - b\n+    return a + b"
    files = [StagedFile("calc.py", "M", "", lines, 1), StagedFile("logo.png", "A")]
    model = ScriptedModel(["Fix the sign"])
    changes = StagedChanges(files, lambda _: diff, lambda _: [])
    write_message(model, Prompts(), changes, 60, lambda _: None)
    compare(f"commit-message-{lines}", model.prompts[0])


def test_title() -> None:
    model = ScriptedModel(["Fix the sign"])
    task = "Fix calc.py so that the tests in calc_test.py pass\n"
    write_title(model, Prompts(), task, 60, lambda _: None)
    compare("title", model.prompts[0])


def test_a_plan_and_its_step(turn: Turn) -> None:
    model = ScriptedModel(["1. Change add in calc.py to add"])
    turn.services = replace(turn.services, model=model)
    list(MakePlan().plan(turn))
    compare("plan", model.prompts[0])
    step = Prompts().render("plan/step", step="Do it", number="2", total="3", task="Do all")
    compare("plan-step", step)


def test_the_task_of_mending_what_the_check_says() -> None:
    compare("fix-check", Prompts().text("chat/fix-check"))


def test_a_change_as_the_next_question_sees_it() -> None:
    diff = "@@ -2 +2 @@\n-    return a - b\n+    return a + b"
    text = Prompts().render("workflow/changed", summary="changed calc.py", diff=diff)
    compare("changed", text)


def test_the_task_after_a_refusal() -> None:
    text = Prompts().render("workflow/refused", task="Fix add", reason="use sum()")
    compare("refused", text)


def test_a_question_and_the_next(turn: Turn) -> None:
    """A changed word here costs a session that goes on from before it what it has read."""
    model = ScriptedModel(["It subtracts.", "Not yet."])
    turn.services = replace(turn.services, model=model)
    talk = ConversationLog()
    for question in ("What does add do?", "Is add tested?"):
        turn.request = replace(turn.request, prompt=question, conversation=list(talk.messages))
        for event in (MessageAdded("user", question), *Workflow().plan(turn)):
            talk.record(event)
    compare("question-2", model.prompts[1])

"""The model reads a function once, and the tokens that it expected become candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from localagent.agent.checks.runner import run_check
from localagent.agent.repair.candidates import Board, Candidate
from localagent.agent.repair.problem import Problem, open_file
from localagent.agent.repair.search import search
from localagent.agent.repair.strategies import Schedule
from localagent.agent.repair.strategies.alternatives import alternatives
from localagent.agent.turn import Turn
from localagent.models.alternatives import TokenOption, TokenPlace, dump_places
from localagent.models.base import RawText, Request
from localagent.models.scripted import ScriptedModel, ScriptedReply
from tests.doubles.scripted_sandbox import ScriptedSandbox, python_check
from tests.doubles.scripted_turn import run_events, scripted_turn

OTHER = """class Other:
    def untested(self):
        return 1
"""


class Listing(ScriptedModel):
    """Lists the options that a test gives for the first place of each text; else as its script."""

    options: Mapping[str, Sequence[str]]

    def _choose(self, request: Request) -> ScriptedReply:
        prompt = request.prompt
        if not isinstance(prompt, RawText) or not prompt.options:
            return super()._choose(request)
        places = []
        for number, (old, new) in enumerate(self.options.items()):
            start = prompt.text.encode().rindex(old.encode())
            options = (TokenOption(n, text, 0.5) for n, text in enumerate(new))
            places.append(TokenPlace(number, start, start + len(old), tuple(options)))
        return ScriptedReply(dump_places(places))


def turn_with(
    folder: Path,
    text: str,
    cases: Mapping[str, tuple[str, object]],
    options: Mapping[str, Sequence[str]],
    *replies: str | ScriptedReply,
) -> tuple[Turn, Listing]:
    (folder / "calc.py").write_text(text)
    turn = scripted_turn(folder, sandbox=ScriptedSandbox(python_check("calc.py", cases)))
    model = Listing(replies, replace(turn.services.model.info, raw_text=True))
    model.options = options
    turn = Turn(replace(turn.services, model=model), turn.request)
    return turn, model


def solve(turn: Turn) -> Candidate | None:
    _, start = run_events(run_check(turn, "pytest", trace=["calc.py"]))
    problem = Problem("calc.py", open_file(turn, "calc.py"), start, "pytest", ())
    schedule = Schedule([alternatives])
    return run_events(search(turn, problem, Board(start), schedule, 5))[1]


BIGGER = '''def longest(names, most):
    """Say how long the longest name may be: more than `most`."""
    return len(names) > most
'''


def test_a_token_in_place_of_another_needs_no_further_question(tmp_path: Path) -> None:
    cases = {"test_is": ("longest('ab', 2)", True), "test_not": ("longest('ab', 3)", False)}
    turn, model = turn_with(tmp_path, BIGGER, cases, {" >": (" >=", " <")})
    passed = solve(turn)
    assert passed is not None
    assert "len(names) >= most" in passed.text
    assert '"""Say how long' in passed.text
    (request,) = model.requests
    assert isinstance(request.prompt, RawText)
    assert '"""' not in request.prompt.text
    assert "# Must hold: assert longest('ab', 2) == True" in request.prompt.text
    assert "# Must hold: assert longest('ab', 2) == True" in request.prompt.text


GUARD = """class Shop:
    def total(self, prices):
        if prices:
            return sum(prices)
        return prices


total = Shop().total
"""


def test_the_model_continues_a_token_to_the_end_of_the_line(tmp_path: Path) -> None:
    cases = {"test_sum": ("total([1, 2])", 3), "test_none": ("total([])", 0)}
    turn, model = turn_with(
        tmp_path, GUARD, cases, {":\n            return sum": (" is",)}, " not None:"
    )
    passed = solve(turn)
    assert passed is not None
    assert "        if prices is not None:\n" in passed.text
    branch = model.requests[-1].prompt
    assert isinstance(branch, RawText)
    assert branch.text.startswith("class Shop:\n    # Must hold")
    assert branch.branch == (0, 0)


def test_a_line_is_put_before_another(tmp_path: Path) -> None:
    text = "def half(n):\n    m = n\n    return m // 2\n"
    cases = {"test_even": ("half(4)", 2), "test_odd": ("half(5)", 3)}
    turn, _ = turn_with(tmp_path, text, cases, {" return": (" m",)}, " += 1")
    passed = solve(turn)
    assert passed is not None
    assert passed.text == "def half(n):\n    m = n\n    m += 1\n    return m // 2\n"


def test_a_guard_gets_a_line_of_its_block(tmp_path: Path) -> None:
    text = "def third(n):\n    m = n\n    return m / 3\n"
    cases = {"test_three": ("third(3)", 1.0), "test_text": ("third('')", None)}
    options = {" return": (" if", " m")}
    replies = (" not m:", " = 0", "        return None")
    turn, model = turn_with(tmp_path, text, cases, options, *replies)
    passed = solve(turn)
    assert passed is not None
    assert "    if not m:\n        return None\n    return m / 3\n" in passed.text
    assert model.prompts[-1].endswith("    m = n\n    if not m:\n")


def test_a_backend_without_raw_text_is_not_asked(tmp_path: Path) -> None:
    cases = {"test_is": ("longest('ab', 2)", True)}
    turn, model = turn_with(tmp_path, BIGGER, cases, {" >": (" >=",)})
    turn = scripted_turn(tmp_path, sandbox=ScriptedSandbox(python_check("calc.py", cases)))
    assert solve(turn) is None
    assert model.requests == []


def test_a_text_with_a_secret_keeps_it(tmp_path: Path) -> None:
    secret = "sk-ant-api03-" + "Zq7" * 26
    text = f'def longest(names, most):\n    key = "{secret}"\n    return len(names) > most\n'
    cases = {"test_is": ("longest('ab', 2)", True)}
    turn, model = turn_with(tmp_path, text, cases, {" >": (" >=",)})
    passed = solve(turn)
    assert passed is not None and secret in passed.text
    assert secret not in model.prompts[0]

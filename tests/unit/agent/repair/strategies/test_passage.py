"""One paragraph of a text: which one is asked for, and what its reply becomes."""

from __future__ import annotations

from pathlib import Path

from localagent.agent.checks.runner import CheckResult
from localagent.agent.repair.candidates import Board, Draft
from localagent.agent.repair.problem import Problem, open_file
from localagent.agent.repair.strategies import schedule_for
from localagent.agent.repair.strategies.passage import passage
from localagent.agent.repair.strategies.whole_file import whole_file
from tests.doubles.scripted_turn import prompt_of, scripted_turn

README = """# Shop

A shop for *books*.
It sells them.

## Use

Run the drudgry of `shop`:

```sh
shop run drudgry
```
"""
START = CheckResult("pytest", True, 0, False, 0.1, "", (), 3, 0)


def drafts_of(folder: Path, task: str) -> list[Draft]:
    (folder / "README.md").write_text(README)
    turn = scripted_turn(folder, task)
    problem = Problem("README.md", open_file(turn, "README.md"), START, "pytest", ())
    return [draft for drafts in passage(turn, problem, Board(START)) for draft in drafts]


def test_the_paragraph_with_the_words_of_the_task_is_written_again(tmp_path: Path) -> None:
    (draft,) = drafts_of(tmp_path, "in README.md, fix the spelling of drudgry")
    assert "Run the drudgry of `shop`:\n```" in prompt_of(draft)
    assert "A shop for" not in prompt_of(draft)
    assert draft.build("Run the drudgery of `shop`:\n```\nDone.") == [
        README.replace("the drudgry", "the drudgery")
    ]
    assert draft.build("") == []


def test_code_in_a_text_is_left_alone_and_the_best_paragraph_comes_first(tmp_path: Path) -> None:
    drafts = drafts_of(tmp_path, "say that the shop sells used books, and how to use it")
    assert ["It sells them." in prompt_of(draft) for draft in drafts] == [True, False, False]
    assert not any("shop run" in prompt_of(draft) for draft in drafts)


def test_a_text_that_loses_its_lines_is_no_candidate(tmp_path: Path) -> None:
    plain = README.partition("```")[0]
    (tmp_path / "README.md").write_text(plain)
    turn = scripted_turn(tmp_path, "fix the spelling in README.md")
    problem = Problem("README.md", open_file(turn, "README.md"), START, "pytest", ())
    assert schedule_for(problem, is_step=False).first == [passage, whole_file]
    (draft,) = next(whole_file(turn, problem, Board(START)))
    assert draft.build("# Shop\n\nA shop for books.\n```") == []
    assert len(draft.build(plain.replace("drudgry", "drudgery"))) == 1

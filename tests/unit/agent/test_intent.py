"""Questions and changes are told apart by their words."""

import pytest

from localagent.agent.intent import asks_for_test, classify, required_code


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("What does parse() return?", "answer"),
        ("explain the retry loop", "answer"),
        ("How do I add a new command?", "answer"),
        ("the cache is never emptied?", "answer"),
        ("And 500? One short sentence.", "answer"),
        ("Is it slow? No: rename it to x.", "answer"),
        ("The total is wrong? Then repair it.", "edit"),
        ("fix the failing test", "edit"),
        ("Implement what INSTRUCTIONS.md asks for in x.py so that the tests pass", "edit"),
        ("please rename foo to bar", "edit"),
        ("Can you add a --verbose flag?", "edit"),
        ("the total should be rounded; repair that", "edit"),
        ("Fixes issue 12", "edit"),
        ("unblock claims a name was blocked although it wasnt, can you repair that?", "edit"),
        ("README.md says unitest, it should say unittest", "edit"),
        ("the sum is wrong; would you please correct it?", "edit"),
        ("How could you add a plug-in?", "answer"),
        ("Should it be a list?", "answer"),
        ("Use object.__hash__ for Node.__hash__", "edit"),
        ("Ensure JSON representation is compact.", "edit"),
        ("Prevent an extra newline in uploads", "edit"),
        ("run the tests", "check"),
        ("Run all the unit tests again please", "check"),
        ("please re-run the checks!", "check"),
        ("could you run the test suite?", "check"),
        ("test it", "check"),
        ("Do the tests pass?", "check"),
        ("run the tests and fix what fails", "edit"),
        ("run the tests of the parser", "unclear"),
        ("check it", "unclear"),
        ("thanks", "nothing"),
        ("OK, thank you very much!", "nothing"),
        ("ok now add a test", "edit"),
        ("okra", "unclear"),
        ("the useful part", "unclear"),
        ("hello", "unclear"),
        ("", "unclear"),
    ],
)
def test_kind(prompt: str, kind: str) -> None:
    assert classify(prompt) == kind


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("use <= instead", "<="),
        ("no, use sum() here", "sum("),
        ("use `max`, please", "max"),
        ("use old_name.", "old_name"),
        ("use the other function", ""),
        ("that's wrong", ""),
    ],
)
def test_the_code_that_a_reason_names(reason: str, code: str) -> None:
    assert required_code(reason) == code


@pytest.mark.parametrize(
    ("task", "asks"),
    [
        ("add a test for an empty timesheet", True),
        ("Write some more unit tests", True),
        ("Write add() so that the tests pass", False),
        ("Fix the failing tests", False),
    ],
)
def test_a_task_for_a_test(task: str, asks: bool) -> None:
    assert asks_for_test(task) == asks

"""Which new functions, methods and classes a task's words ask for."""

from __future__ import annotations

import pytest

from localagent.agent.new_definitions import NewDefinition, new_definitions

UNNAMED = NewDefinition("")


@pytest.mark.parametrize(
    ("task", "found"),
    [
        ("Add a method hours to Work, with a test", [NewDefinition("hours", owner="Work")]),
        (
            "add a static method called `for` and write a new class Clock",
            [NewDefinition("for"), NewDefinition("Clock", is_class=True)],
        ),
        ("Implement the function parse_size", [NewDefinition("parse_size")]),
        ("Add a function that parses sizes", [UNNAMED]),
        ("Add tests for the function area", []),
        ("Fix the method hours", []),
        ("Add a helper function to src/utils.py that strips slashes", [UNNAMED]),
        ("add a helper to utils.py that strips slashes", [UNNAMED]),
        ("add a function stripping slashes", [UNNAMED]),
        ("add a helper called strip", [NewDefinition("strip")]),
        ("add a helper `strip` to utils.py", [NewDefinition("strip")]),
        ("Add helper strip_slashes() to utils.py", [NewDefinition("strip_slashes")]),
        ("add a helper text to the form", []),
        ("Add a `strip_slashes` helper to utils.py", [NewDefinition("strip_slashes")]),
        ("create a strip_slashes function.", [NewDefinition("strip_slashes")]),
        ("write a small utility function named clamp.", [NewDefinition("clamp")]),
        ("Add a Clock class", [NewDefinition("Clock", is_class=True)]),
        ("Add the missing function call", []),
        ("add a class attribute `size` to Box", []),
        ("add a `peek` method to the class `Stack`", [NewDefinition("peek", owner="Stack")]),
        ("Add a method Stack.peek()", [NewDefinition("peek", owner="Stack")]),
        ("add a method peek to stack.py. In Stack, nothing changes", [NewDefinition("peek")]),
        ("add a method that counts to Stack", [NewDefinition("", owner="Stack")]),
    ],
)
def test_definitions_that_a_task_asks_to_add(task: str, found: list[NewDefinition]) -> None:
    assert new_definitions(task) == found

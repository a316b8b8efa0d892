"""The thread of a session's questions: what is in it, and what is not shown twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.context.conversation import Thread, new_names, subtract_spans, thread_of
from localagent.core.messages import Message, Part, PromptRecord
from localagent.edits.textfile import sha256
from localagent.workspace.workspace import Workspace

TEXT = "x = 1\n"


@pytest.mark.parametrize(
    ("spans", "known", "left"),
    [
        ([(1, 9)], [], [(1, 9)]),
        ([(1, 9)], [(1, 9)], []),
        ([(1, 9)], [(4, 5)], [(1, 3), (6, 9)]),
        ([(1, 9), (20, 30)], [(5, 25)], [(1, 4), (26, 30)]),
        ([(3, 4)], [(1, 2), (5, 9)], [(3, 4)]),
        ([(3, 4)], [(1, 9)], []),
    ],
)
def test_without(spans: list, known: list, left: list) -> None:
    assert subtract_spans(spans, known) == left


def test_names_of_files_that_were_told_of_are_left_out() -> None:
    thread = Thread(parts=(Part("`a.py`:\n```python\nx\n```", "a.py"),))
    assert new_names("`a.py`: f()\n`b.py`: g()", thread) == "`b.py`: g()"


def answered(question: str, *, anew: bool, digest: str = sha256(TEXT.encode())) -> list[Message]:
    part = Part(f"code for {question}", "a.py", digest, ((1, 1),))
    before = (Message("user", "before"),)
    answer = Message("assistant", f"{question}!", PromptRecord(question, (part,), before, anew))
    return [Message("user", question), answer]


def test_a_thread_is_what_was_asked_since_it_was_begun(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(TEXT)
    workspace = Workspace.open(tmp_path)
    talk = [
        *answered("one", anew=True),
        *answered("two", anew=True),
        Message("user", "a task"),
        Message("assistant", "done"),
        *answered("three", anew=False),
        Message("user", "stopped"),
    ]
    thread = thread_of(talk, workspace)
    assert [m.content for m in thread.messages] == [
        *("before", "code for two\n\ntwo", "two!", "before", "code for three\n\nthree", "three!")
    ]
    assert thread.upto == 8
    assert not any(message.asked for message in thread.messages)
    assert thread_of([], workspace) == Thread()
    (tmp_path / "a.py").write_text("x = 2\n")
    assert thread_of(talk, workspace).messages == ()
    (tmp_path / "a.py").unlink()
    assert thread_of(talk, workspace).messages == ()

"""The real model at a real terminal: its process is killed, it is stopped, it is gone on with."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localagent.core.events import ModelReplied, PlanChanged, TurnFinished
from localagent.history.sessions import transcript
from localagent.ui.chat.chat import LiveChat, open_chat
from tests.doubles.opening import command_line, opening
from tests.doubles.tmux_terminal import Tmux

pytestmark = [pytest.mark.real_model, pytest.mark.slow]
PATIENCE = 120.0  # seconds; a small machine that does other things as well
LONG = "explain at length, one by one, what each line of calc.py and calc_test.py does"
KEPT = 0.98  # of what was read before


@pytest.fixture
def terminal(installed: Path, workspace_dir: Path) -> Iterator[Tmux]:
    one = Tmux(workspace_dir, width=100, height=60, patience=PATIENCE)
    one.start()
    one.ready()
    yield one
    one.close()


def worker_of(session: int) -> int:
    """The process id of the model's process, a child of the session's."""
    found = subprocess.run(
        ["pgrep", "-P", str(session), "-f", "llamacpp.worker"], capture_output=True, text=True
    )
    (pid,) = found.stdout.split()
    return int(pid)


def outcomes() -> list[str]:
    (session,) = transcript.session_ids()
    events = transcript.read(session).events
    return [event.outcome for event in events if isinstance(event, TurnFinished)]


def test_its_process_is_killed_while_it_writes(terminal: Tmux) -> None:
    terminal.send(LONG)
    terminal.until("tok/s")
    os.kill(worker_of(terminal.pid()), signal.SIGKILL)
    terminal.until("took", gone="Ctrl-O: the last output\n>")
    terminal.send("is add right? answer in one word")
    terminal.until("took", after="in one word\n")
    terminal.keys("C-d")
    terminal.until("to resume this session")
    assert outcomes()[-1] == "answered"


def test_it_is_stopped_while_it_reads_and_while_it_writes(terminal: Tmux) -> None:
    terminal.send("is add right? answer in one word")  # so that the model is there
    terminal.until("took", after="in one word\n")
    words = "\n".join(f"fact {n}: the {n * 7} of {n * 31} is {n * 13}" for n in range(200))
    terminal.paste(f"what do these have in common?\n{words}")
    terminal.until("[pasted 201 lines]")
    terminal.keys("Enter")
    terminal.until("reading", after="more lines\n")
    terminal.keys("C-c")
    terminal.until("interrupted", after="more lines\n")
    terminal.send(LONG)
    terminal.until("calc", after=f"{LONG}\n")  # in the answer
    terminal.keys("C-c")
    terminal.until("interrupted", after=f"{LONG}\n")
    terminal.send("is add wrong? answer in one word")
    terminal.until("took", after="wrong? answer in one word\n")
    assert outcomes() == ["answered", "interrupted", "interrupted", "answered"]


def asked(chat: LiveChat, line: str) -> list[ModelReplied]:
    """The replies of a turn."""
    return [item for item in chat.submit(line) if isinstance(item, ModelReplied)]


@pytest.fixture
def opened(installed: Path, workspace_dir: Path) -> Iterator[Callable[..., LiveChat]]:
    chats: list[LiveChat] = []

    def begin(resume: str | None = None) -> LiveChat:
        given = opening(workspace_dir, planner="react", max_tokens=600, resume=resume)
        chats.append(open_chat(*given, command_line=command_line()))
        return chats[-1]

    yield begin
    for chat in chats:
        chat.close()


def test_what_was_read_is_not_read_again_after_a_resume(opened: Callable[..., LiveChat]) -> None:
    first = opened()
    before = asked(first, "What does the HTTP status 404 mean? One sentence, without any tool.")
    first.close()
    again = opened(first.session.id)
    after = asked(again, "And the status 500? One sentence, without any tool.")
    assert after[0].reused_tokens >= KEPT * before[-1].prompt_tokens
    # Within a session: away to a new one, and back.
    name = again.session.id
    list(again.submit("/clear"))
    asked(again, "What is a checksum? One sentence, without any tool.")
    list(again.submit(f"/resume {name}"))
    back = asked(again, "And 403? One sentence, without any tool.")
    assert back[0].reused_tokens >= KEPT * after[-1].prompt_tokens


def test_each_step_of_a_plan_names_a_file(
    opened: Callable[..., LiveChat], workspace_dir: Path
) -> None:
    (workspace_dir / 'odd "name".py').write_text("x = 1\n")  # to be quoted in the grammar
    task = "let the program also multiply, and test that"
    plans = [item for item in opened().submit(f"/plan {task}") if isinstance(item, PlanChanged)]
    assert plans
    for step in plans[-1].steps:
        place = step["text"].split(":")[0]
        new = place.startswith("In a new file ")
        assert new or (workspace_dir / place.removeprefix("In ")).is_file(), step

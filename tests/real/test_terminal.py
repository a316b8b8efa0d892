"""The real model at a real terminal: its process is killed, it is stopped, it is gone on with."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localagent.events import ModelReplied, TurnFinished
from localagent.journal import transcript
from localagent.session import RunOptions
from localagent.ui.chat.live import LiveChat, open_chat
from tests.doubles.tmux_terminal import Tmux

pytestmark = [pytest.mark.real_model, pytest.mark.slow]
PATIENCE = 600.0  # seconds; a small machine that does other things as well
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
        ["pgrep", "-P", str(session), "-f", "llamacpp_worker"], capture_output=True, text=True
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
    print(terminal.screen(scrollback=True))
    terminal.send("is add right? answer in one word")
    terminal.until("took", after="in one word\n")
    print(terminal.screen(scrollback=True))
    terminal.keys("C-d")
    terminal.until("to go on with this session")
    assert outcomes()[-1] == "answered"


def test_it_is_stopped_while_it_reads_and_while_it_writes(terminal: Tmux) -> None:
    words = "\n".join(f"fact {n}: the {n * 7} of {n * 31} is {n * 13}" for n in range(200))
    terminal.paste(f"what do these have in common?\n{words}")
    terminal.until("[pasted 201 lines]")
    terminal.keys("Enter")
    terminal.until("reading")
    terminal.keys("C-c")
    terminal.until("interrupted")
    terminal.send(LONG)
    terminal.until("tok/s")
    terminal.keys("C-c")
    terminal.until("interrupted", after=f"{LONG}\n")
    terminal.send("is add right? answer in one word")
    terminal.until("took", after="in one word\n")
    print(terminal.screen(scrollback=True))
    assert outcomes() == ["interrupted", "interrupted", "answered"]


def asked(chat: LiveChat, line: str) -> ModelReplied:
    """The last reply of a turn."""
    return [item for item in chat.submit(line) if isinstance(item, ModelReplied)][-1]


@pytest.fixture
def opened(installed: Path, workspace_dir: Path) -> Iterator[Callable[..., LiveChat]]:
    chats: list[LiveChat] = []

    def begin(resume: str | None = None) -> LiveChat:
        chats.append(open_chat(RunOptions(workspace_dir, max_tokens=600, resume=resume)))
        return chats[-1]

    yield begin
    for chat in chats:
        chat.close()


def test_what_was_read_is_not_read_again_after_a_resume(opened: Callable[..., LiveChat]) -> None:
    first = opened()
    before = asked(first, "what does add in calc.py do?")
    first.close()
    again = opened(first.session.id)
    after = asked(again, "and what should it do?")
    print(before.prompt_tokens, before.reused_tokens, after.prompt_tokens, after.reused_tokens)
    assert after.reused_tokens >= KEPT * before.prompt_tokens
    # Within a session: away to a new one, and back.
    name = again.session.id
    list(again.submit("/clear"))
    asked(again, "what does calc_test.py test?")
    list(again.submit(f"/resume {name}"))
    back = asked(again, "is that a fault?")
    print(back.prompt_tokens, back.reused_tokens)
    assert back.reused_tokens >= KEPT * after.prompt_tokens

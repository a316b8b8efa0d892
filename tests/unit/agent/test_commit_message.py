"""What the model is shown of the staged files, and what happens where it says nothing usable."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from localagent.agent.small_tasks import (
    DIFF_TOKENS,
    CommitMessage,
    StagedChanges,
    clip,
    list_changes,
    write_message,
)
from localagent.context.prompts import Prompts
from localagent.core.events import Event, FileRead, ModelReplied, ModelRequested
from localagent.models.base import Chunk, Finish, ModelInfo, Profile, Request, Text, Usage
from localagent.models.scripted import ScriptedModel, ScriptedReply
from localagent.workspace.git.commit import StagedFile

CALC = StagedFile("calc.py", "M", "", 1, 1)
CALC_DIFF = "@@ -1,2 +1,2 @@\n def add(a, b):\n-    return a - b\n+    return a + b"


def write(
    files: list[StagedFile],
    diffs: dict[str, str],
    reply: str = "Add up",
    window: int = 8192,
    events: list[Event] | None = None,
) -> tuple[CommitMessage, ScriptedModel]:
    info = ModelInfo("scripted", "scripted", "", Profile(window=window))
    model = ScriptedModel([ScriptedReply(reply, repeat=True)], info)
    changes = StagedChanges(
        files, lambda f: diffs.get(f.path, ""), lambda f: [(f.path, f"of {f.path}")]
    )
    tell = (events if events is not None else []).append
    return write_message(model, Prompts(), changes, 60, tell), model


def test_a_small_change() -> None:
    written, model = write([CALC], {"calc.py": CALC_DIFF}, "Fix the sign in add")
    assert written == CommitMessage("Fix the sign in add", True)
    assert CALC_DIFF in model.prompts[0]
    assert "calc.py: changed, +1 -1" in model.prompts[0]


def test_what_the_model_is_shown_is_told_before_it_is_asked() -> None:
    events: list[Event] = []
    logo, key = StagedFile("logo.png", "A"), StagedFile("a.pem", "A", "", 3, 0)
    _, model = write([key, logo, CALC], {"a.pem": "+K", "calc.py": CALC_DIFF}, events=events)
    read, asked, replied = events
    assert read == FileRead("calc.py", "of calc.py")
    assert isinstance(asked, ModelRequested)
    assert (asked.purpose, asked.model) == ("commit-message", "scripted")
    assert CALC_DIFF in asked.prompt
    assert isinstance(replied, ModelReplied)
    assert (replied.text, len(model.requests)) == ("Add up", 1)


def test_a_large_change_gets_a_body() -> None:
    files = [StagedFile("a.py", "M", "", 50, 20)]
    reply = "Rework a\n\n- first\n- second"
    assert write(files, {"a.py": CALC_DIFF}, reply)[0].text == reply
    assert write([CALC], {"calc.py": CALC_DIFF}, reply)[0].text == "Rework a"


def test_files_with_secrets_are_not_shown() -> None:
    key = StagedFile("deploy/server.pem", "A", "", 3, 0)
    moved = StagedFile("notes.txt", "R", ".env", 1, 1)
    diffs = {"deploy/server.pem": "+KEY", "notes.txt": "+PASSWORD", "calc.py": CALC_DIFF}
    written, model = write([key, moved, CALC], diffs)
    assert written.secret == ("deploy/server.pem", "notes.txt")
    for word in ("KEY", "PASSWORD", "server.pem", ".env"):
        assert word not in model.prompts[0]
    written, model = write([key], diffs)
    assert (written.text, written.by_model) == ("Add deploy/server.pem", False)
    assert model.requests == []


def test_binary_files_are_named() -> None:
    written, model = write([StagedFile("logo.png", "A")], {}, "Add a logo")
    assert written == CommitMessage("Add a logo", True)
    assert "logo.png: added, binary" in model.prompts[0]


@pytest.mark.parametrize("window", [1024, 2048, 8192])
def test_a_long_diff_is_cut_to_what_the_model_holds(window: int) -> None:
    long = "@@ -1 +1 @@\n" + "+value = compute(first, second)\n" * 5000
    files = [CALC, StagedFile("long.py", "M", "", 5000, 0), StagedFile("b.py", "M", "", 5000, 0)]
    diffs = {"calc.py": CALC_DIFF, "long.py": long, "b.py": long}
    written, model = write(files, diffs, window=window)
    assert written.by_model  # no ContextOverflow
    assert model.count(model.prompts[0]) < min(window, DIFF_TOKENS + 500)
    assert CALC_DIFF in model.prompts[0]
    assert written.clipped == ("long.py", "b.py")
    assert model.prompts[0].count("more lines") == 2


def test_many_files_are_listed_in_part() -> None:
    files = [StagedFile(f"f{n}.py", "M", "", 1, 0) for n in range(500)]
    written, model = write(files, {f.path: CALC_DIFF for f in files}, window=4096)
    assert written.by_model
    assert "… and 460 more" in model.prompts[0]
    assert "f499.py" in written.clipped


def test_shares_go_to_those_that_need_them() -> None:
    diffs = {"big": "b" * 79 + "\n" + "b" * 1000, "small": "s" * 50}
    kept, cut = clip(diffs, 300)
    assert (kept["small"], cut, list(kept)) == (diffs["small"], {"big"}, ["big", "small"])
    assert kept["big"] == "b" * 79 + "\n… 1 more lines"
    assert clip(diffs, 5000) == (diffs, set())
    assert clip(diffs, 0) == ({}, {"big", "small"})


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ([CALC], "Update calc.py"),
        ([StagedFile("a", "A")], "Add a"),
        ([StagedFile("a", "D", "", 0, 3)], "Remove a"),
        ([StagedFile("b", "R", "a", 0, 0)], "Rename a to b"),
        (
            [StagedFile("a", "A", "", 1, 0), CALC],
            "Update 2 files\n\n- a: added, +1 -0\n- calc.py: changed, +1 -1",
        ),
    ],
)
def test_without_a_usable_reply_the_files_are_described(files: list[StagedFile], text: str) -> None:
    assert list_changes(files) == text
    written, _ = write(files, {}, "```\n```")
    assert (written.text, written.by_model) == (text, False)


def test_a_model_that_takes_too_long_is_stopped() -> None:
    class Endless(ScriptedModel):
        stopped = threading.Event()

        def generate(self, request: Request) -> Iterator[Chunk]:
            while not self.stopped.wait(0.01):
                yield Text("Add ")
            yield Finish("cancelled", Usage())

        def cancel(self) -> None:
            self.stopped.set()

    changes = StagedChanges([CALC], lambda _: CALC_DIFF, lambda _: [])
    written = write_message(Endless([]), Prompts(), changes, 0.05, lambda _: None)
    assert (written.text, written.by_model) == ("Update calc.py", False)

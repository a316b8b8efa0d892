"""The terminal view of recorded event streams, compared with screens that were looked at.

`UPDATE_GOLDEN=1 python -m pytest tests/integration/ui/view/test_render.py` writes the
screens anew; look at them (`cat tests/golden/screens/*.txt`) before you keep them.
"""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from localagent.agent.tool_calls.dispatch import refusal
from localagent.core.events import (
    CheckFinished,
    Decision,
    Event,
    Failed,
    ModelReading,
    ModelReplied,
    ModelRequested,
    SessionStarted,
    Step,
    TextDelta,
    ThoughtDelta,
    TurnFinished,
    TurnStarted,
    Warned,
    from_dict,
)
from localagent.ui.view.format import ASCII, UNICODE
from localagent.ui.view.render import Renderer
from localagent.ui.view.screen import ERASE, Screen

GOLDEN = Path(__file__).resolve().parents[4] / "tests" / "golden"
NAMES = sorted(path.stem for path in (GOLDEN / "recordings").glob("*.jsonl"))


def recorded(name: str) -> list[Event]:
    lines = (GOLDEN / "recordings" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [from_dict(json.loads(line)) for line in lines]


def screen(
    width: int, *, colour: bool = False, live: bool = False, ascii_only: bool = False
) -> Screen:
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=colour or live,
        color_system="standard" if colour else None,
        legacy_windows=False,
        markup=False,
        highlight=False,
        emoji=False,
    )
    symbols = ASCII if ascii_only else UNICODE
    return Screen(
        console, live=live, symbols=symbols, tick=False, clock=iter(range(10**6)).__next__
    )


def drawn(events: Iterable[Event], on: Screen) -> str:
    renderer = Renderer(on)
    for event in events:
        renderer.draw(event)
    on.close()
    return on.console.file.getvalue()  # type: ignore[attr-defined]


def replied(text: str, purpose: str = "file", stream: int = 0) -> ModelReplied:
    return ModelReplied(purpose, text, "stop", 10, 0, 5, 0.1, 0.2, stream)


def finished(outcome: str, summary: str) -> TurnFinished:
    return TurnFinished(1, outcome, 0, summary, "", "", [], 1.0, 10, 0, 5)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [80, 40])
@pytest.mark.parametrize("colour", [False, True], ids=["plain", "colour"])
def test_golden_screens(name: str, width: int, colour: bool) -> None:
    shown = drawn(recorded(name), screen(width, colour=colour))
    path = GOLDEN / "screens" / f"{name}-{width}-{'colour' if colour else 'plain'}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(shown, encoding="utf-8", newline="\n")
    assert shown == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [80, 40, 20])
def test_lines_fit_the_width(name: str, width: int) -> None:
    """But for what must not be broken: diffs, output and paths, which the terminal wraps."""
    events = [e for e in recorded(name) if type(e).__name__ not in ("FileChanged", "CheckFinished")]
    wide = [
        line
        for line in drawn(events, screen(width)).splitlines()
        if cell_len(line) > width and not line.startswith("/")
    ]
    assert wide == []


def test_no_line_ends_with_spaces() -> None:
    for name in NAMES:
        lines = drawn(recorded(name), screen(60)).splitlines()
        assert [line for line in lines if line != " " and line.endswith(" ")] == []


@pytest.mark.parametrize("live", [False, True])
def test_no_control_code_of_others_reaches_the_terminal(live: bool) -> None:
    shown = drawn(recorded("hostile"), screen(80, live=live))
    harmless = shown.replace(ERASE, "") if live else shown
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u200b\ud800-\udfff]", harmless)


def test_without_a_terminal_there_are_no_control_codes_at_all() -> None:
    for name in NAMES:
        assert "\x1b" not in drawn(recorded(name), screen(80))
        assert "\r" not in drawn(recorded(name), screen(80))


def test_ascii_signs_where_the_locale_has_no_others() -> None:
    for name in NAMES:
        if name not in ("hostile",):
            assert drawn(recorded(name), screen(80, ascii_only=True)).isascii(), name


def test_a_reply_that_was_lost_is_not_run_into_the_one_that_follows() -> None:
    asked = ModelRequested("answer", "What is it?", 0)
    events = [
        *(asked, TextDelta("It holds a single", 0)),
        Warned("the model's process was killed; asking again (2 of 3)", lost=True),
        *(asked, TextDelta("It holds one function.\n", 0)),
        ModelReplied("answer", "It holds one function.\n", "stop", 9, 0, 5, 0.1, 0.2, 0),
    ]
    lines = drawn(events, screen(80, live=True)).replace(ERASE, "\n").splitlines()
    assert "It holds a single" in lines
    assert "It holds one function." in lines


@pytest.mark.parametrize("end", [Step("apply", "changing calc.py"), finished("refused", "no")])
def test_a_reply_that_nobody_waits_for_is_not_run_into_the_next(end: Event) -> None:
    """Of replies that are written together, those after one that passes never end."""
    events: list[Event] = [ModelRequested("file", "", 0), ModelRequested("file", "", 1)]
    events += [TextDelta("half a li", 0), replied("two", stream=1), end]
    events += [ModelRequested("answer", "", 0), TextDelta("It holds one.\n", 0)]
    events += [replied("It holds one.\n", "answer")]
    lines = drawn(events, screen(80, live=True)).replace(ERASE, "\n").splitlines()
    assert "It holds one." in [line.strip() for line in lines]


def test_the_live_line_moves_and_is_gone_at_the_end() -> None:
    on = screen(60, live=True)
    events: list[Event] = [ModelRequested("answer", "…")]
    events += [ModelReading(n, 1000, 100, (1000 - n) / 50) for n in range(100, 1000, 300)]
    text = drawn(events, on)
    states = [part for part in text.split(ERASE) if part]
    assert [re.sub(r"^\S+ ", "", state) for state in states] == [
        "answering",
        "reading 100 of 1,000 tokens (100 reused), about 18 s left",
        "reading 400 of 1,000 tokens (100 reused), about 12 s left",
        "reading 700 of 1,000 tokens (100 reused), about 6 s left",
    ]
    assert text.endswith(ERASE)
    assert len({state[0] for state in states}) == len(states), "the sign turns"


def test_the_live_line_never_wraps() -> None:
    text = drawn([Step("think", "x" * 300)], screen(40, live=True))
    assert max(cell_len(part) for part in text.split(ERASE)) == 39


def settled(text: str) -> str:
    """What stays on the screen: of each line what was drawn last."""
    return "\n".join(line.rpartition(ERASE)[2] for line in text.split("\n"))


def test_an_answer_streams_whole_and_is_not_repeated() -> None:
    reply = "\n\n".join(f"paragraph {n}" for n in range(60))
    events = [
        ModelRequested("answer", ""),
        *[TextDelta(reply[i : i + 9]) for i in range(0, len(reply), 9)],
        replied(reply, "answer"),
        finished("answered", reply),
    ]
    text = settled(drawn(events, screen(80, live=True)))
    assert text.count("paragraph 59") == 1
    assert "paragraph 58\n\nparagraph 59\n" in text
    assert drawn(events, screen(80)).count("paragraph 59") == 1


def test_solved_is_said_only_where_a_check_passed() -> None:
    words = {
        outcome: drawn([finished(outcome, "s")], screen(80))
        for outcome in ("answered", "unverified", "unsolved", "refused", "failed", "limit")
    }
    assert not [o for o, text in words.items() if "solved: the check passed" in text]
    solved = replace(finished("solved", "s"), changed=["a.py"])
    assert "solved: the check passed" in drawn([solved], screen(80))
    assert "not solved: s (nothing was changed)" in words["unsolved"]


def test_a_step_that_nothing_verified_says_why() -> None:
    step = replace(finished("unverified", "s"), check="make test")
    text = drawn([step], screen(80))
    assert "the check fails as it did before" in text
    assert "no check" not in text


def test_a_change_that_no_test_runs_is_yellow_though_the_check_passes() -> None:
    check = CheckFinished("pytest", 0, True, 0, 9, 0, 0.4, "")
    end = replace(finished("unverified", "s"), check="pytest", changed=["a.py"])
    text = drawn([check, end], screen(80, colour=True))
    assert "\x1b[1;33m" in text.split("changed, but not verified: no test runs the change")[0][-12:]
    assert "solved" not in text


def test_a_stop_is_told_once_and_nothing_that_was_not_counted() -> None:
    stopped = replace(finished("interrupted", "stopped"), completion_tokens=0)
    text = drawn([Failed("Interrupted", "the generation was cancelled", ""), stopped], screen(80))
    assert "cancelled" not in text
    assert text.count("interrupted") == 1
    assert "10 tokens" not in text
    assert "10 tokens read" in drawn([replace(stopped, completion_tokens=1)], screen(80))


def test_a_refusal_that_ends_the_turn_is_told_once() -> None:
    decision = Decision("edit", "calc.py", False, "nobody", "there was nobody to ask")
    error = refusal(decision)
    failed = Failed("RefusedError", error.message, error.hint)
    text = drawn([TurnStarted(1, "fix it"), decision, failed], screen(80))
    assert text.count("there was nobody to ask") == 1
    assert "name the file in the task; --yes answers such questions with yes" in text
    assert "was refused" in drawn([TurnStarted(1, "fix it"), failed], screen(80))


def test_the_command_of_commit_is_not_drawn_but_the_users_is() -> None:
    command = TurnStarted(1, "git commit -q '--message=Fix the sign'", "", "command")
    for echoed, drawn_again in (("/commit", False), ("!true", True)):
        on = screen(80)
        renderer = Renderer(on)
        renderer.echoed = echoed
        renderer.draw(command)
        assert ("Fix the sign" in on.console.file.getvalue()) == drawn_again  # type: ignore[attr-defined]


def test_a_session_is_introduced_once() -> None:
    started = SessionStarted("a-session", "/w", "toy", "", "react", "bwrap", "1.0", False)
    assert drawn([started, started], screen(80)).count("toy") == 1


def test_a_reply_that_was_stopped_before_it_began_has_no_cost() -> None:
    stopped = replace(replied("", "answer"), completion_tokens=0, prefill_seconds=0.0)
    assert drawn([stopped], screen(80)) == ""
    assert "read 10 tokens" in drawn([replied("text", "answer")], screen(80))


def test_drawing_a_fast_model_is_cheap() -> None:
    """A generous bound (0.5 ms a token, 5 % of a core at 100 tokens a second) on what is about
    a tenth of it here."""
    import time

    on = screen(80, live=True)
    renderer = Renderer(on)
    renderer.draw(ModelRequested("answer", ""))
    before = time.process_time()
    for n in range(4000):
        renderer.draw(TextDelta(f"word{n} " if n % 10 else "\n"))
    assert time.process_time() - before < 4000 * 0.0005 * 4


def test_a_thought_is_one_dim_line_with_its_tokens() -> None:
    thought = ["<think>", "the sign ", "is \x1b[31mwrong", "</think>"]
    events: list[Event] = [
        ModelRequested("answer", "Why?"),
        *(ThoughtDelta(piece) for piece in thought),
        TextDelta("Because."),
        replace(replied("Because.", "answer"), thought="".join(thought), thought_tokens=4),
    ]
    text = drawn(events, screen(80, live=True))
    assert "thought, 4 tokens: the sign is" in text
    assert "<think>" not in text.replace("thinking: <think>", "")
    assert text.index("thought, 4 tokens") < text.rindex("Because.")

"""The search on the screen: one live line, lines only for progress, and a log of every step."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterable, Iterator

from rich.console import Console

from localagent.core.events import (
    BestCandidate,
    CandidateProposed,
    CandidateRejected,
    CandidatesJudged,
    CheckFinished,
    CheckStarted,
    Event,
    ModelReading,
    ModelReplied,
    ModelRequested,
    Step,
    TextDelta,
    TurnStarted,
)
from localagent.ui.view.format import UNICODE
from localagent.ui.view.render import Renderer
from localagent.ui.view.screen import ERASE, Screen
from localagent.ui.view.search_view import MAX_LOG, SearchLog

CHECK = "python -m pytest -q"


def judged(number: int, passed: int, of: int = 19) -> Iterator[Event]:
    yield CandidateProposed(number, 8, "infill", ["work.py"])
    yield CheckStarted(CHECK, number)
    ok = passed == of
    yield CheckFinished(CHECK, number, ok, int(not ok), passed, of - passed, 0.3, "E  wrong")


def start(passed: int = 12) -> list[Event]:
    begin = [TurnStarted(1, "fix it"), Step("baseline", "checking the workspace as it is")]
    check = CheckFinished(CHECK, 0, False, 1, passed, 19 - passed, 0.4, "E")
    return [*begin, check, Step("propose", "trying changes of work.py")]


def drawn(
    events: Iterable[Event], *, width: int = 80, live: bool = False, **options: bool
) -> tuple[str, Renderer]:
    console = Console(
        file=io.StringIO(), width=width, force_terminal=live, color_system=None, highlight=False
    )
    clock = iter(range(10**6)).__next__  # each look at the clock is a second later
    on = Screen(console, live=live, symbols=UNICODE, tick=False, clock=clock)
    renderer = Renderer(on, **options)
    for event in events:
        renderer.draw(event)
    return console.file.getvalue(), renderer  # type: ignore[attr-defined]


def statuses(text: str) -> list[str]:
    """What the live line showed, without its spinner."""
    return [part[2:] for part in text.split(ERASE) if part[:1] in UNICODE.frames and part[1:]]


def test_ninety_candidates_are_one_line() -> None:
    failing = [event for n in range(1, 92) for event in judged(n, 12 - n % 3)]
    text, _ = drawn([*start(), *failing, Step("apply", "the end")])
    after = text.partition("• trying changes of work.py\n")[2]
    assert after == "• tried 91 candidates, best 12 of 19 pass\n• the end\n"


def test_the_live_line_counts_and_shows_the_best() -> None:
    events = [*start(), *judged(1, 9), *judged(2, 15), CandidateRejected(3, "no change")]
    last = statuses(drawn(events, live=True)[0])[-1]
    assert last.startswith("trying: 3 candidates, best 15 of 19 pass, ")
    assert last.endswith(" s")


def test_the_time_is_that_of_the_whole_search() -> None:
    events = [event for n in range(1, 9) for event in judged(n, 9)]
    shown = [
        re.search(r", (?:(\d+) min )?([\d.]+) s", s) for s in statuses(drawn(events, live=True)[0])
    ]
    seconds = [60 * int(match[1] or 0) + float(match[2]) for match in shown if match]
    assert len(seconds) > 8
    assert seconds == sorted(set(seconds))


def test_a_narrow_live_line_keeps_the_numbers() -> None:
    last = statuses(drawn([*start(), *judged(1, 9), *judged(2, 15)], width=40, live=True)[0])[-1]
    assert last.startswith("2 tried, best 15/19, ")
    assert len(last) < 39


def test_a_better_candidate_gets_a_line_and_an_equal_one_does_not() -> None:
    events = [*start(12), *judged(1, 12), *judged(2, 15), *judged(3, 15), *judged(4, 13)]
    text = drawn(events)[0]
    assert "candidate 2: 15 passed, 4 failed" in text
    assert not [n for n in (1, 3, 4) if f"candidate {n}:" in text]


def test_a_passing_candidate_ends_the_search_without_a_remark() -> None:
    text = drawn([*start(), *judged(1, 9), *judged(2, 19), Step("apply", "changing work.py")])[0]
    assert "✓ candidate 2: 19 passed  0.3 s\n• changing work.py\n" in text


def test_the_activity_is_the_one_that_goes_on() -> None:
    """While the check of one candidate is over, the model writes the next."""
    events: list[Event] = [ModelRequested("file", "", 0), ModelReading(10, 90, 0, 2.0)]
    events += [TextDelta("one\ntwo\n", 0), *list(judged(7, 9))]
    shown = statuses(drawn([*start(), *events], live=True)[0])
    assert shown[-5].startswith("trying the first candidate, ")
    assert shown[-5].endswith("; reading 10 of 90 tokens")
    assert shown[-4].endswith("; writing, 2 lines")
    assert shown[-2].endswith("; checking")
    assert shown[-1].endswith("; writing, 2 lines")


def test_code_is_not_drawn_while_it_is_written() -> None:
    reply = "def total():\n    return 1\n"
    events: list[Event] = [ModelRequested("file", ""), TextDelta(reply)]
    events.append(ModelReplied("file", reply, "stop", 9, 0, 5, 0.1, 0.2))
    text, renderer = drawn([*start(), *events], live=True)
    assert "def total" not in text
    assert renderer.search_log is not None
    assert "def total" in renderer.search_log.text


def test_the_log_has_every_step() -> None:
    events = [*start(), *judged(1, 9), CandidateRejected(2, "no change"), *judged(3, 9)]
    log = drawn(events)[1].search_log
    assert log is not None
    assert log.title == "the search: 3 candidates"
    assert log.text.splitlines() == [
        "✗ candidate 1: 9 passed, 10 failed  0.3 s",
        "✗ candidate 2: no change",
        "✗ candidate 3: 9 passed, 10 failed  0.3 s",
    ]


def test_small_changes_that_are_judged_together_all_count() -> None:
    judged_together = CandidatesJudged(90, 90, "mutate", ["work.py"], 1.2)
    events = [*start(), judged_together, *judged(40, 15), *judged(91, 9)]
    text, renderer = drawn(events, live=True)
    assert statuses(text)[-1].startswith("trying: 91 candidates, best 15 of 19 pass")
    assert renderer.search_log is not None
    assert "candidates 1 to 90: small changes of work.py  1.2 s" in renderer.search_log.text


def test_a_record_is_drawn_in_full() -> None:
    text, _ = drawn([*start(), *judged(1, 9), *judged(2, 9), Step("apply", "end")], full=True)
    assert "candidate 1: 9 passed" in text
    assert "candidate 2: 9 passed" in text
    assert "tried" not in text


def test_a_file_is_named_once() -> None:
    again = Step("propose", "trying changes of work.py")
    assert (
        drawn([*start(), *judged(1, 9), again, *judged(2, 9)])[0].count("trying changes of work.py")
        == 1
    )


def test_the_search_in_several_files_is_one_search() -> None:
    other = Step("propose", "trying changes of parse.py")
    events = [*start(), *judged(1, 9), other, *judged(2, 11), Step("apply", "the end")]
    text, _ = drawn(events, live=True)
    assert statuses(text)[-2].startswith("trying: 2 candidates, best 11 of 19 pass, ")
    assert "tried 2 candidates, best 11 of 19 pass\n" in text
    assert "tried 1 candidate" not in text


def test_the_log_keeps_the_newest_steps() -> None:
    log = SearchLog()
    for n in range(3000):
        log.add(f"step {n} " + "x" * 100)
    assert len(log.text) <= MAX_LOG + 4000
    assert "step 2999" in log.text
    assert log.text.startswith("... earlier steps: localagent sessions show\n")


def test_a_hundred_events_a_second_cost_little() -> None:
    """A generous bound: 1 ms an event, a tenth of a core, is about ten times what it takes."""
    events = [event for n in range(1, 1001) for event in judged(n, 9)]
    before = time.process_time()
    drawn(events, live=True)
    assert time.process_time() - before < len(events) * 0.001


def test_the_same_check_of_the_workspace_is_drawn_once() -> None:
    traced = CheckFinished(CHECK, 0, False, 1, 12, 7, 0.9, "E")
    assert drawn([*start(12), traced])[0].count("✗ check: 12 passed, 7 failed") == 1


def test_the_best_change_is_named_with_the_command_that_applies_it() -> None:
    best = BestCandidate(2, ["work.py"], 25, 1, 19, "/home/ann s/best-1.patch")
    text, _ = drawn([*start(), *judged(1, 9), best, Step("apply", "end")])
    assert "best change: 25 of 26 tests pass, 19 before" in text
    assert "git apply '/home/ann s/best-1.patch'" in text

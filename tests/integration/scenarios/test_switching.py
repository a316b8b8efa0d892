"""Another model in mid-session: chosen by the user, or taken as the one before failed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from localagent.core.errors import ModelLoadError, ModelNotInstalled, UsageError
from localagent.core.events import (
    Event,
    ModelReplied,
    ModelSwitched,
    SessionStarted,
    TurnFinished,
    TurnStarted,
    Warned,
)
from localagent.history.audit.log import records
from localagent.history.sessions import transcript
from localagent.models.base import Model, ModelInfo, Profile
from localagent.models.router import PinnedModel, Router
from localagent.models.scripted import ScriptedModel, ScriptedReply
from localagent.project.project import Project
from localagent.session.factory import open_session
from localagent.session.replay import replay
from localagent.session.session import Session
from tests.doubles.opening import opening

REACT, WORKFLOW = Profile(planner="react"), Profile(planner="workflow")
QUESTION = "What does add do?"


def done(text: str) -> str:
    return f"```done\n{text}\n```"


def scripted(
    name: str, replies: Sequence[str | ScriptedReply], profile: Profile = REACT
) -> ScriptedModel:
    return ScriptedModel(replies, ModelInfo(name, "scripted", f"sha of {name}", profile))


def unavailable(error: Exception) -> Callable[[], Model]:
    def fail() -> Model:
        raise error

    return fail


Opener = Callable[..., Session]


@pytest.fixture
def opened(workspace_dir: Path) -> Iterator[Opener]:
    """`opened(main, *others, roles=, fallback=, **options)` opens a session with these models; the
    first is main's. Models that are errors cannot be opened."""
    sessions: list[Session] = []

    def open_(
        *models: ScriptedModel,
        roles: dict[str, str] | None = None,
        fallback: Sequence[str] = (),
        broken: dict[str, Exception] | None = None,
        main: str = "",
        **options: object,
    ) -> Session:
        catalogue = {m.info.id: PinnedModel(m.info, 0, lambda m=m: m) for m in models}
        for name, error in (broken or {}).items():
            info = ModelInfo(name, "scripted", "", REACT)
            catalogue[name] = PinnedModel(info, 0, unavailable(error))
        router = Router(catalogue, main or models[0].info.id, roles, fallback)
        sessions.append(open_session(*opening(workspace_dir, yes=True, **options), router))
        return sessions[-1]

    yield open_
    for session in sessions:
        session.close()


def kinds(events: list[Event], *wanted: type) -> list[str]:
    return [type(e).__name__ for e in events if isinstance(e, wanted)]


def outcome(events: list[Event]) -> str:
    assert isinstance(events[-1], TurnFinished)
    return events[-1].outcome


def test_there_and_back_with_the_whole_conversation(opened: Opener) -> None:
    one = scripted("one", [done("it subtracts"), done("and again")])
    two = scripted("two", [done("it should add")])
    session = opened(one, two)
    first = list(session.run(QUESTION))
    assert session.switch("two") == two.info
    second = list(session.run("What should it do?"))
    session.switch("one")
    third = list(session.run("Really?"))
    assert [outcome(events) for events in (first, second, third)] == ["answered"] * 3
    assert kinds(first, ModelSwitched) == []
    assert second[0] == ModelSwitched("main", "two", "sha of two", "react", "chosen")
    assert isinstance(second[1], TurnStarted)
    assert third[0] == ModelSwitched("main", "one", "sha of one", "react", "chosen")
    for text in (QUESTION, "it subtracts", "What should it do?"):
        assert text in two.prompts[0]
        assert text in one.prompts[1]
    assert "it should add" in one.prompts[1]
    assert one.prompts[1].startswith(one.prompts[0])  # what it had read before is not read again


@pytest.mark.parametrize(
    ("flag", "planners"), [(None, ["react", "workflow", "react"]), ("react", ["react"] * 3)]
)
def test_the_planner_is_the_new_models_unless_it_is_set(
    opened: Opener, flag: str | None, planners: list[str]
) -> None:
    one = scripted("one", [done("it subtracts"), done("it does")])
    two = scripted("two", [done("it subtracts, I say")], WORKFLOW)
    session = opened(one, two, planner=flag)
    events = list(session.run(QUESTION))
    session.switch("two")
    events += session.run(QUESTION)
    session.switch("one")
    events += session.run(QUESTION)
    said = [e.planner for e in events if isinstance(e, SessionStarted | ModelSwitched)]
    assert said == planners
    purposes = {"react": "act", "workflow": "answer"}
    asked = [e.purpose for e in events if isinstance(e, ModelReplied)]
    assert asked == [purposes[planner] for planner in planners]


def test_a_switch_during_a_turn_waits_for_the_next(opened: Opener) -> None:
    look = "```read path=calc.py\n```"
    one, two = scripted("one", [look, done("it subtracts")]), scripted("two", [done("indeed")])
    session = opened(one, two)
    for event in session.run(QUESTION):
        if isinstance(event, ModelReplied):
            session.switch("two")
    assert len(one.requests) == 2
    assert isinstance(event, TurnFinished)
    events = list(session.run("Really?"))
    assert isinstance(events[0], ModelSwitched)
    assert len(two.requests) == 1


def test_a_switch_that_fails_keeps_the_model(opened: Opener) -> None:
    one = scripted("one", [done("it subtracts"), done("still")])
    session = opened(one, broken={"gone": ModelNotInstalled("gone is not here")})
    with pytest.raises(UsageError, match="no model is called 'other'"):
        session.switch("other")
    with pytest.raises(ModelNotInstalled):
        session.switch("gone")
    for event in session.run(QUESTION):
        if isinstance(event, ModelReplied):
            session.switch("gone")
    events = list(session.run("Really?"))
    assert (
        next(e.text for e in events if isinstance(e, Warned))
        == "gone is not here; the model is still one"
    )
    assert outcome(events) == "answered"


@pytest.mark.parametrize(("first", "second"), [("one", "two"), ("two", "one")])
def test_resuming_with_another_model(opened: Opener, first: str, second: str) -> None:
    profiles = {"one": REACT, "two": WORKFLOW}
    before = opened(scripted(first, [done("it subtracts")], profiles[first]))
    list(before.run(QUESTION))
    before.close()
    model = scripted(second, [done("as I said")], profiles[second])
    session = opened(model, resume=before.id)
    assert [m.role for m in session.conversation] == ["user", "assistant"]
    events = list(session.run("What does it do, once more?"))
    assert isinstance(events[0], SessionStarted)
    assert (events[0].model, events[0].resumed) == (second, True)
    assert (events[0].planner, outcome(events)) == (profiles[second].planner, "answered")
    if second == "one":  # react shows the conversation; workflow asks each thing afresh
        assert "it subtracts" in model.prompts[0]


def test_a_model_that_cannot_be_opened_is_replaced_and_told(opened: Opener) -> None:
    spare = scripted("spare", [done("it subtracts")])
    broken = {"big": ModelLoadError("big needs 9 GB")}
    session = opened(spare, main="big", broken=broken, fallback=["spare"])
    events = list(session.run(QUESTION))
    assert isinstance(events[0], SessionStarted)
    assert events[0].model == "spare"
    told = [e.text for e in events if isinstance(e, Warned)]
    assert "big is given up (big needs 9 GB); spare takes over" in told
    assert kinds(events, ModelSwitched) == []  # the session began with it
    assert outcome(events) == "answered"


def test_a_model_that_does_not_load_is_replaced_in_the_same_turn(opened: Opener) -> None:
    big = scripted("big", [ScriptedReply(error="ModelLoadError", message="no memory")])
    session = opened(big, scripted("spare", [done("it subtracts")]), fallback=["spare"])
    events = list(session.run(QUESTION))
    switched = next(e for e in events if isinstance(e, ModelSwitched))
    assert switched == ModelSwitched("main", "spare", "sha of spare", "react", "no memory")
    assert "big is given up (no memory); spare takes over" in [
        e.text for e in events if isinstance(e, Warned)
    ]
    assert outcome(events) == "answered"
    stored = transcript.read(session.id).events
    assert switched in stored


def test_a_model_that_dies_again_and_again_is_replaced_for_the_next_turn(opened: Opener) -> None:
    dies = ScriptedReply(error="WorkerDied", message="it died", repeat=True)
    session = opened(
        scripted("big", [dies]), scripted("spare", [done("it subtracts")]), fallback=["spare"]
    )
    events = list(session.run(QUESTION))
    assert outcome(events) == "failed"
    assert kinds(events, ModelSwitched) == ["ModelSwitched"]
    events = list(session.run(QUESTION))
    assert outcome(events) == "answered"
    assert any("spare takes over" in e.text for e in events if isinstance(e, Warned))


def test_without_a_fallback_the_same_model_is_tried_again(opened: Opener) -> None:
    dies = ScriptedReply(error="WorkerDied", message="it died")
    session = opened(
        scripted("big", [dies, dies, dies, done("it subtracts")]), scripted("other", [])
    )
    assert outcome(list(session.run(QUESTION))) == "failed"
    events = list(session.run(QUESTION))
    assert (outcome(events), kinds(events, ModelSwitched)) == ("answered", [])


def test_choices_are_the_planners_role(opened: Opener) -> None:
    big = scripted("big", [ScriptedReply("It subtracts.", repeat=True)], WORKFLOW)
    quick = scripted("quick", [ScriptedReply("answer", when="Reply with one word")])
    session = opened(big, quick, roles={"planner": "quick"})
    events = list(session.run("hello there"))
    assert [e.purpose for e in events if isinstance(e, ModelReplied)] == ["classify", "answer"]
    assert (len(quick.requests), len(big.requests)) == (1, 1)


def test_a_session_with_a_switch_can_be_replayed(opened: Opener, workspace_dir: Path) -> None:
    one = scripted("one", ["```read path=calc.py\n```", done("it subtracts")])
    two = scripted("two", ["It subtracts."], WORKFLOW)
    session = opened(one, two)
    list(session.run(QUESTION))
    session.switch("two")
    list(session.run(QUESTION))
    session.close()
    again = list(replay(session.id, Project.open(workspace_dir)))
    assert kinds(again, TurnFinished) == ["TurnFinished", "TurnFinished"]
    assert [e.purpose for e in again if isinstance(e, ModelReplied)] == ["act", "act", "answer"]
    assert type(again[-1]).__name__ == "TurnFinished"  # no Difference


class TestTitles:
    def test_the_small_model_names_the_session_after_its_first_turn(self, opened: Opener) -> None:
        small = scripted("tiny", ['Title: "Explaining what add in calc.py really does to numbers"'])
        one = scripted("one", [done("it subtracts"), done("yes")])
        session = opened(one, small, roles={"small": "tiny"})
        list(session.run(QUESTION))
        title = session.write_title()
        assert title == "Explaining what add in calc.py really does to"
        assert QUESTION in small.prompts[0]
        logged = [r for r in records(session.id) if r is not None]
        assert logged[0]["models"] == {"tiny": small.info.sha256}
        (asked,) = [r for r in logged if r["type"] == "asked" and r["purpose"] == "title"]
        assert asked["model"] == "tiny"
        list(session.run("Really?"))
        assert session.write_title() == ""  # only once
        (listed,) = transcript.list_sessions()
        assert (listed.title, listed.prompt) == (title, QUESTION)

    def test_without_a_model_of_its_own_no_model_is_asked(self, opened: Opener) -> None:
        one = scripted("one", [done("it subtracts")])
        session = opened(one)
        list(session.run(QUESTION))
        assert session.write_title() == ""
        assert len(one.requests) == 1

    @pytest.mark.parametrize("error", ["WorkerDied", "ModelLoadError"])
    def test_a_small_model_that_fails_does_no_harm(self, opened: Opener, error: str) -> None:
        small = scripted("tiny", [ScriptedReply(error=error)])
        one = scripted("one", [done("it subtracts")])
        session = opened(one, small, roles={"small": "tiny"})
        assert outcome(list(session.run(QUESTION))) == "answered"
        assert session.write_title() == ""
        assert len(one.requests) == 1

    def test_main_is_not_asked_where_the_small_model_is_gone(self, opened: Opener) -> None:
        one = scripted("one", [done("it subtracts")])
        session = opened(one, broken={"tiny": ModelNotInstalled("no")}, roles={"small": "tiny"})
        list(session.run(QUESTION))
        assert session.write_title() == ""
        assert len(one.requests) == 1

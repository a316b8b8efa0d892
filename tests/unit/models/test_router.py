"""Roles, fallbacks and memory: which model is asked, and what is open meanwhile."""

from __future__ import annotations

import pytest

from localagent.agent import model_calls
from localagent.core.errors import (
    BackendError,
    ContextOverflow,
    ModelFileError,
    ModelLoadError,
    ModelNotInstalled,
    UsageError,
    WorkerDied,
)
from localagent.core.messages import Message
from localagent.models import router as module
from localagent.models.base import Finish, Model, ModelInfo, ModelWarning, Profile, Request, Text
from localagent.models.router import PinnedModel, Router
from localagent.models.scripted import ScriptedModel, ScriptedReply

GB = 1 << 30
ASK = Request([Message("user", "hello")])


class House:
    """A catalogue of scripted models: what each says, and which were opened and closed."""

    def __init__(self, **said: list[str | ScriptedReply] | Exception) -> None:
        self.said = said
        self.opened: list[str] = []
        self.models: dict[str, ScriptedModel] = {}
        self.sizes: dict[str, int] = {}
        self.free = 100 * GB

    def router(self, main: str, roles: dict[str, str] | None = None, *fallback: str) -> Router:
        catalogue = {
            name: PinnedModel(
                self.info(name), self.sizes.get(name, 0), lambda name=name: self.open(name)
            )
            for name in self.said
        }
        return Router(catalogue, main, roles, fallback, lambda: self.free)

    def info(self, name: str) -> ModelInfo:
        return ModelInfo(name, "scripted", f"sha of {name}", Profile())

    def open(self, name: str) -> Model:
        self.opened.append(name)
        said = self.said[name]
        if isinstance(said, Exception):
            raise said
        self.models[name] = ScriptedModel(said, self.info(name))
        return self.models[name]

    def closed(self, name: str) -> bool:
        return self.models[name]._closed


def text(model: Model, request: Request = ASK) -> str:
    return "".join(c.text for c in model.generate(request) if isinstance(c, Text))


def test_a_role_without_a_model_of_its_own_shares_mains() -> None:
    house = House(big=["one", "two", "three"], tiny=["small talk"])
    router = house.router("big", {"small": "tiny"})
    assert house.opened == []
    assert (text(router.role("main")), text(router.role("planner"))) == ("one", "two")
    assert house.opened == ["big"]
    assert text(router.role("small")) == "small talk"
    assert (router.role("small").info.id, router.role("planner").info.id) == ("tiny", "big")
    router.close()
    assert house.closed("big") and house.closed("tiny")


@pytest.mark.parametrize(
    "error",
    [ModelLoadError("broken"), ModelFileError("broken"), ModelNotInstalled("broken")],
    ids=lambda error: type(error).__name__,
)
def test_a_model_that_cannot_be_opened_is_replaced(error: Exception) -> None:
    house = House(big=error, spare=["I am here"])
    model = house.router("big", None, "spare").role("main")
    chunks = list(model.generate(ASK))
    assert isinstance(chunks[0], ModelWarning)
    assert chunks[0].text == "big is given up (broken); spare takes over"
    assert "".join(c.text for c in chunks if isinstance(c, Text)) == "I am here"
    assert (model.info.id, model.info.sha256) == ("spare", "sha of spare")


def test_a_model_that_fails_to_load_at_the_first_request_is_replaced_and_told_once() -> None:
    load = ScriptedReply(error="ModelLoadError", message="no memory", repeat=True)
    house = House(big=[load], spare=["one", "two"])
    router = house.router("big", None, "spare")
    model = router.role("main")
    assert [text(model), text(model)] == ["one", "two"]
    assert house.closed("big")
    made = router.drain_switches()
    assert [(s.role, s.info.id, s.why) for s in made] == [("main", "spare", "no memory")]
    assert (router.drain_switches(), router.drain_warnings()) == ([], [])


def test_several_requests_go_to_the_next_model_as_one() -> None:
    load = ScriptedReply(error="ModelLoadError", repeat=True)
    house = House(big=[load], spare=["one", "two"])
    chunks = list(house.router("big", None, "spare").role("main").generate_all([ASK, ASK]))
    assert [place for place, chunk in chunks if isinstance(chunk, Finish)] == [0, 1]
    assert [c.text for _, c in chunks if isinstance(c, Text)] == ["one", "two"]


def test_the_last_ones_error_is_raised_and_it_stays_in_use() -> None:
    house = House(big=ModelLoadError("first"), spare=ModelLoadError("second"))
    router = house.router("big", None, "spare")
    for _ in range(2):
        with pytest.raises(ModelLoadError, match="second"):
            text(router.role("main"))
    assert (router.current(), house.opened) == ("spare", ["big", "spare", "spare"])


def test_it_takes_as_many_failures_as_the_agent_makes_attempts() -> None:
    assert module.ATTEMPTS == model_calls.ATTEMPTS
    died = ScriptedReply("half", error="WorkerDied", message="killed")
    house = House(big=[died, died, "fine", died, died, died], spare=["instead"])
    router = house.router("big", None, "spare")
    model = router.role("main")
    for ends in (WorkerDied, WorkerDied, None, WorkerDied, WorkerDied, WorkerDied):
        assert model.info.id == "big"
        if ends is None:
            assert text(model) == "fine"
        else:
            with pytest.raises(ends):
                text(model)
    assert text(model) == "instead"


@pytest.mark.parametrize("error", ["ServerError", "PromptTruncated"])
def test_a_server_that_fails_is_given_up_after_the_request(error: str) -> None:
    house = House(big=[ScriptedReply("half", error=error)], spare=["instead"])
    model = house.router("big", None, "spare").role("main")
    with pytest.raises(BackendError):
        text(model)
    assert text(model) == "instead"


@pytest.mark.parametrize("error", ["ContextOverflow", "BackendError"])
def test_what_the_request_is_to_blame_for_changes_nothing(error: str) -> None:
    house = House(big=[ScriptedReply(error=error, repeat=True)], spare=["no"])
    model = house.router("big", None, "spare").role("main")
    for _ in range(4):
        with pytest.raises((ContextOverflow, BackendError)):
            text(model)
    assert model.info.id == "big"


def test_a_load_failure_in_mid_reply_is_not_answered_twice() -> None:
    house = House(
        big=[ScriptedReply("half a", error="ModelLoadError", message="gone")], spare=["whole"]
    )
    model = house.router("big", None, "spare").role("main")
    with pytest.raises(ModelLoadError):
        text(model)
    assert text(model) == "whole"


def test_nothing_is_used_that_is_not_in_the_catalogue() -> None:
    house = House(big=[], spare=[])
    for arguments in [("other",), ("big", {"small": "other"}), ("big", None, "other")]:
        with pytest.raises(UsageError, match="no model is called 'other'") as caught:
            house.router(*arguments)
        assert "big, spare" in caught.value.hint
    with pytest.raises(UsageError, match="no model is called 'other'"):
        house.router("big").switch("other")


def test_switching_keeps_both_open_where_memory_allows() -> None:
    house = House(big=["one", "three"], other=["two"])
    router = house.router("big")
    model = router.role("main")
    said = [text(model)]
    router.switch("other")
    assert model.info.id == "other"
    said.append(text(model))
    router.switch("big")
    said.append(text(model))
    assert said == ["one", "two", "three"]
    assert house.opened == ["big", "other"]
    assert [(s.info.id, s.why) for s in router.drain_switches()] == [
        ("other", "chosen"),
        ("big", "chosen"),
    ]


def test_a_switch_that_fails_leaves_the_old_model() -> None:
    house = House(big=["one"], gone=ModelNotInstalled("not here"))
    router = house.router("big")
    with pytest.raises(ModelNotInstalled):
        router.switch("gone")
    assert text(router.role("main")) == "one"
    assert router.drain_switches() == []


def test_the_user_may_choose_a_model_that_was_given_up() -> None:
    house = House(big=ModelLoadError("no"), spare=["spare"])
    router = house.router("big", None, "spare")
    assert text(router.role("main")) == "spare"
    house.said["big"] = ["back again"]
    router.switch("big")
    assert text(router.role("main")) == "back again"


def test_short_of_memory_the_small_model_makes_room_for_main() -> None:
    house = House(big=["work"], tiny=["title", "again"])
    house.sizes = {"big": 4 * GB, "tiny": GB}
    router = house.router("big", {"small": "tiny"})
    assert text(router.role("small")) == "title"
    house.free = 5 * GB
    assert text(router.role("main")) == "work"
    assert house.closed("tiny")


def test_short_of_memory_mains_model_does_the_small_jobs_itself() -> None:
    house = House(big=["work", "title"], tiny=[])
    house.sizes = {"big": 4 * GB, "tiny": GB}
    router = house.router("big", {"small": "tiny"})
    assert text(router.role("main")) == "work"
    house.free = GB
    assert text(router.role("small")) == "title"
    assert house.opened == ["big"]
    (switch,) = router.drain_switches()
    assert (switch.role, switch.info.id) == ("small", "big")
    assert "1.6 GB beside big, and 1.1 GB are free" in switch.why


def test_short_of_memory_the_old_main_makes_room_for_the_new() -> None:
    house = House(big=["one"], other=["two"])
    house.sizes = {"big": 4 * GB, "other": 4 * GB}
    router = house.router("big")
    text(router.role("main"))
    house.free = GB
    router.switch("other")
    assert house.closed("big")
    assert text(router.role("main")) == "two"


def test_counting_moves_on_too() -> None:
    class Unloadable(ScriptedModel):
        def count(self, text: str) -> int:
            raise ModelLoadError("cannot load")

    house = House(big=[], spare=[])
    router = Router(
        {
            "big": PinnedModel(house.info("big"), 0, lambda: Unloadable([])),
            "spare": PinnedModel(house.info("spare"), 0, lambda: ScriptedModel([])),
        },
        "big",
        fallback=["spare"],
    )
    assert router.role("main").count("a b c") == 3
    assert router.current() == "spare"


def test_cancel_reaches_the_model_that_runs() -> None:
    house = House(big=[], tiny=["a b c d e f g h"])
    router = house.router("big", {"small": "tiny"})
    reasons = []
    for chunk in router.role("small").generate(ASK):
        if isinstance(chunk, Text):
            router.role("main").cancel()
        if isinstance(chunk, Finish):
            reasons.append(chunk.reason)
    assert reasons == ["cancelled"]


def test_thinking_is_set_for_every_model_of_the_session() -> None:
    router = House(a=["x"], b=["y"]).router("a", {"planner": "b"})
    router.set_thinking(300, "plans")
    for role in ("main", "planner"):
        profile = router.role(role).info.profile
        assert (profile.think, profile.think_for) == (300, "plans")
    router.set_thinking(0)
    assert router.role("main").info.profile.think == 0

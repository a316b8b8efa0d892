"""Replies are sampled as the model's maker says, and greedily only where that is allowed."""

from __future__ import annotations

from typing import Any

import pytest

from localagent.models.base import Profile, Request, Sampling, sampled
from localagent.models.catalog import lock
from localagent.models.catalog.sampling_cards import propose_sampling
from localagent.models.llamacpp.worker.sampler import ChainSampler
from localagent.models.ollama import protocol

CARD = Profile(temperature=0.7, top_p=0.8, top_k=20, min_p=0.01, presence_penalty=1.5, greedy=False)
GREEDY = Request(())


def test_a_greedy_request_stays_greedy_where_the_model_allows_it() -> None:
    assert sampled(GREEDY, Profile()) == GREEDY


def test_a_greedy_request_takes_the_sampling_of_the_card_where_the_card_forbids_it() -> None:
    request = sampled(GREEDY, CARD)
    assert (request.temperature, request.top_p, request.top_k) == (0.7, 0.8, 20)
    assert (request.min_p, request.presence_penalty) == (0.01, 1.5)


def test_a_choice_is_always_greedy() -> None:
    request = Request((), choices=("yes", "no"))
    assert sampled(request, CARD) == request


def test_a_sampled_request_keeps_its_temperature_and_takes_the_penalties() -> None:
    request = sampled(Request((), temperature=1.0, top_k=7), CARD)
    assert (request.temperature, request.top_k, request.presence_penalty) == (1.0, 7, 1.5)


class FakeLibrary:
    """Records which samplers make a chain."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        part = name.removeprefix("llama_sampler_init_")
        if part == name:
            return self
        return lambda *values: self.parts.append((part, values))

    def __call__(self, *values: Any, **more: Any) -> Any:
        return self

    def __mul__(self, count: int) -> Any:
        return lambda *values: [self]


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        (GREEDY, ["greedy"]),
        (Request((), repeat_penalty=1.05), ["penalties", "greedy"]),
        (Request((), temperature=0.5), ["top_k", "top_p", "min_p", "temp", "dist"]),
        (
            Request((), temperature=0.5, presence_penalty=1.5),
            ["penalties", "top_k", "top_p", "min_p", "temp", "dist"],
        ),
    ],
)
def test_the_chain_has_the_samplers_of_the_request(request_: Request, names: list[str]) -> None:
    library = FakeLibrary()
    ChainSampler(library, 0, 0, request_)
    assert [name for name, _ in library.parts] == names


def test_the_penalties_are_those_of_the_library() -> None:
    """`llama_sampler_init_penalties` takes the vocabulary's size, and the last tokens to count."""
    library = FakeLibrary()
    ChainSampler(library, 0, 0, Request((), repeat_penalty=1.05, presence_penalty=1.5))
    assert library.parts[0][1][1:] == (256, 1.05, 0.0, 1.5)


def test_ollama_gets_the_same_sampling() -> None:
    request = Request((), temperature=0.5, min_p=0.01, presence_penalty=1.5, repeat_penalty=1.05)
    _, body = protocol.body(protocol.OllamaModel("m", 4096, "the server"), request)
    options = body["options"]
    assert (options["min_p"], options["presence_penalty"]) == (0.01, 1.5)
    assert options["repeat_penalty"] == 1.05


@pytest.mark.parametrize(
    ("name", "temperature", "penalty", "thinking"),
    [
        ("Qwen3.5 4B", 0.7, 1.5, 1.0),
        ("Qwen3.8-27B", 0.7, 1.5, 1.0),
        ("Qwen3 8B", 0.7, 0.0, 0.6),
        ("gpt-oss-20b", 1.0, 0.0, 1.0),
        ("Gemma 4 E4B It", 1.0, 0.0, 1.0),
        ("A thinker", 0.6, 0.0, 0.6),
    ],
)
def test_the_card_of_a_family_is_proposed(
    name: str, temperature: float, penalty: float, thinking: float
) -> None:
    profile = lock.ProfileSpec(**propose_sampling(name, {}, thinks=True)).profile()
    assert (profile.temperature, profile.presence_penalty) == (temperature, penalty)
    assert not profile.greedy
    assert isinstance(profile.thinking, Sampling)
    assert (profile.thinking.temperature, profile.thinking.presence_penalty) == (thinking, 0.0)


def test_a_model_without_a_card_may_be_greedy() -> None:
    assert propose_sampling("Qwen2.5 Coder 7B", {}, thinks=False) == {}


def test_what_the_file_says_counts_more_than_the_card() -> None:
    metadata = {"general.sampling.temp": 0.2, "general.sampling.top_k": 5, "general.name": "x"}
    proposal = propose_sampling("Qwen3 Coder 30B", metadata, thinks=False)
    assert (proposal["temperature"], proposal["top_k"], proposal["top_p"]) == (0.2, 5, 0.8)
    assert "thinking" not in proposal


def test_a_reply_with_a_thought_has_a_sampling_of_its_own() -> None:
    card = Profile(thinking=Sampling(temperature=1.0, top_k=20), greedy=False)
    assert sampled(Request((), think=100), card).temperature == 1.0
    assert sampled(Request((), think=100), CARD).temperature == 0.7

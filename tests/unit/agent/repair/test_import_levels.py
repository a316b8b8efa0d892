"""How deep files lie under each other, circles among them."""

from __future__ import annotations

import random

import pytest

from localagent.agent.repair.localize import import_cycles, import_levels


@pytest.mark.parametrize(
    ("imported", "found"),
    [
        ({}, {}),
        ({"a": [], "b": ["a"], "c": ["a", "b"]}, {"a": 0, "b": 1, "c": 2}),
        ({"a": ["b"], "b": ["a"]}, {"a": 0, "b": 0}),
        ({"a": ["b"], "b": ["c"], "c": ["b", "d"], "d": []}, {"a": 2, "b": 1, "c": 1, "d": 0}),
        ({"a": ["a"]}, {"a": 0}),
    ],
)
def test_levels(imported: dict[str, list[str]], found: dict[str, int]) -> None:
    assert import_levels(imported) == found


def test_a_long_chain_and_a_large_circle() -> None:
    chain = {str(n): [str(n + 1)] if n < 4999 else [] for n in range(5000)}
    assert import_levels(chain)["0"] == 4999
    circle = {str(n): [str((n + 1) % 5000)] for n in range(5000)}
    assert set(import_levels(circle).values()) == {0}


def test_groups_are_those_that_reach_each_other() -> None:
    rng = random.Random(3)
    for _ in range(60):
        nodes = [str(n) for n in range(rng.randrange(1, 12))]
        imported = {n: rng.sample(nodes, rng.randrange(min(4, len(nodes) + 1))) for n in nodes}
        reach = {n: reached(imported, n) for n in nodes}
        groups = import_cycles(imported)
        assert sorted(n for group in groups for n in group) == sorted(nodes)
        place = {n: number for number, group in enumerate(groups) for n in group}
        for one in nodes:
            for other in nodes:
                both = other in reach[one] and one in reach[other]
                assert (place[one] == place[other]) == both
                if other in reach[one] and not both:
                    assert place[other] < place[one]


def reached(imported: dict[str, list[str]], start: str) -> set[str]:
    found, waiting = {start}, [start]
    while waiting:
        for other in imported[waiting.pop()]:
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found

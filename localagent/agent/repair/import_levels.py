"""How deep files lie under each other by what they import."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping


def levels(imported: Mapping[str, Collection[str]]) -> dict[str, int]:
    """For each file how long the longest chain of imports is that it begins. `imported` has what
    each imports, of these files. Those that import each other in a circle count as one file."""
    groups = circles(imported)
    place = {path: number for number, group in enumerate(groups) for path in group}
    lengths: list[int] = []
    for number, group in enumerate(groups):  # what a group imports comes before it
        below = {place[other] for path in group for other in imported[path]} - {number}
        lengths.append(max((lengths[other] + 1 for other in below), default=0))
    return {path: lengths[place[path]] for path in imported}


def circles(imported: Mapping[str, Collection[str]]) -> list[list[str]]:
    """The files in groups that reach each other, each group after all that it imports.

    Strongly connected components (Tarjan, 1972), without recursion: chains are long.
    """
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    waiting: dict[str, None] = {}  # visited, and in no group yet
    path: list[tuple[str, Iterator[str]]] = []
    groups: list[list[str]] = []

    def enter(node: str) -> None:
        order[node] = lowest[node] = len(order)
        waiting[node] = None
        path.append((node, iter(sorted(imported[node]))))

    for start in imported:
        if start not in order:
            enter(start)
        while path:
            node, rest = path[-1]
            other = next(rest, None)
            if other is None:
                path.pop()
                if path:
                    above = path[-1][0]
                    lowest[above] = min(lowest[above], lowest[node])
                if lowest[node] == order[node]:
                    group: list[str] = []
                    while not group or group[-1] != node:
                        group.append(waiting.popitem()[0])
                    groups.append(group)
            elif other not in order:
                enter(other)
            elif other in waiting:
                lowest[node] = min(lowest[node], order[other])
    return groups

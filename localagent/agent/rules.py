"""The user's and the project's rules (`context/rules.py`), for the prompts of a turn."""

from __future__ import annotations

from collections.abc import Iterator

from localagent.agent.turn import Services, Turn
from localagent.core.events import Warned


def with_rules(services: Services, system: str) -> str:
    """The system's text with the rules that every prompt begins with."""
    text = fixed_rules(services)
    return f"{system}\n\n{text}" if text else system


def fixed_rules(services: Services) -> str:
    """These rules, or ""."""
    info = services.model.info
    return services.rules.fixed(
        services.prompts, info.id, services.model.count, info.profile.window
    )


def folder_rules(turn: Turn, path: str) -> str:
    """The rules of the folder that the file at `path` is in, or "", to be shown to the model."""
    text = _of_folder(turn, path)
    if text:
        turn.read(*turn.services.rules.file_of(path))
    return text


def _of_folder(turn: Turn, path: str) -> str:
    services = turn.services
    info = services.model.info
    return services.rules.of(
        path, services.prompts, info.id, services.model.count, info.profile.window
    )


def notices(turn: Turn, path: str = "") -> Iterator[Warned]:
    """What the user should know of the rules, and of those for the file at `path`, once."""
    with_rules(turn.services, "")
    if path:
        _of_folder(turn, path)
    yield from (Warned(text) for text in turn.services.rules.notices())

"""The first steps of every command: read the administrator's policy, and close the egress lock.

These steps run before any file, plug-in or prompt of a project is read, so a project cannot weaken
them. Every command waits for these steps, so they validate the policy only if it exists.
"""

from __future__ import annotations

import os
import stat
import sys
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from localagent.config import policy
from localagent.core.errors import LocalAgentError
from localagent.core.isolation import close_inherited
from localagent.core.paths import config_dir
from localagent.egress import Destination, lock

if TYPE_CHECKING:
    from localagent.config.policy import Policy

_FETCH = ("models", "fetch")
"""The only command whose child process, pip, may connect; not with --from or an offline policy."""
_DOCTOR = ("doctor",)
"""The command that may query the Ollama server even if no model uses Ollama."""
_BATCH = ("batch",)
"""The command whose child processes lock themselves, and may query the Ollama server."""
_MODELS, _SCAN, _ADD = ("models",), ("models", "scan"), ("models", "add")
"""Commands that may ask servers which models.lock does not name."""
_AS_A_SESSION = ("--airgap", "--report")
"""Flags of doctor that test the lock of a session, so the command gets the same lock."""
_MAX_PORTS = 16
"""The largest number of ports in the setting `sandbox_ports`, as in config.schema."""
_HARMLESS = (("--version",), ("--help",), ("-h",))
"""Command lines that only print a text, and so need no lock."""


def prepare(argv: Sequence[str]) -> None:
    """Close the egress lock, except for the connections that the command line `argv` needs.

    Raises ConfigError for a policy that is unreadable or wrong.
    """
    words = tuple(argv)
    if words in _HARMLESS:
        return
    ruling = policy.latch()
    if ruling.files:
        from localagent.config.settings import check_policy

        check_policy(ruling)
    fetches = words[:2] == _FETCH and not any(word.startswith("--from") for word in words)
    ports = _ports(ruling)
    servers = _servers(words, ruling)
    if words[:1] == _BATCH:
        if _names_ray(words) and not ruling.offline:
            return
        fetches = bool(servers)
    lock.lock(servers, ports, kernel=ruling.offline or not fetches)


def lock_process() -> None:
    """Lock this process for good, as `localagent run` locks itself: for programs that use the API.

    Call it in the main thread before other threads start. It closes all open sockets. Raises
    ConfigError for a policy that is unreadable or wrong.
    """
    close_inherited(lambda _number, mode: not stat.S_ISSOCK(mode))
    prepare(("run",))


def _names_ray(words: Sequence[str]) -> bool:
    """Return whether a batch runs on a Ray cluster, with which this process then speaks.

    This process runs no model and no command; each task locks its own process.
    """
    return "--engine=ray" in words or ("--engine", "ray") in pairwise(words)


def finish() -> None:
    """Report blocked connections that were not reported yet."""
    from localagent.egress.blocked import BLOCKED

    for blocked in BLOCKED.drain():
        text = ascii(f"refused: {blocked}")[1:-1]  # on one line, even if a name has line breaks
        sys.stderr.write(f"localagent: {text}\n")


def _servers(words: Sequence[str], ruling: Policy) -> tuple[Destination, ...]:
    """Return the model servers that this command may connect to.

    An address that is not allowed is left out; a later connection to it fails with the reason.
    """
    entries = _server_entries()
    # In `models add --ollama NAME`, every word is allowed as a name, since NAME is one of them.
    names = tuple(word.partition("=")[2] or word for word in words if words[:1] == _MODELS)
    asks = words[:1] == _DOCTOR and not any(word.startswith(_AS_A_SESSION) for word in words)
    adding = any(word.partition("=")[0] == "--ollama" for word in words)
    pinned = [str(e.get("name", "")) for e in entries if e.get("backend") == "ollama"]
    found: list[Destination] = []
    if asks or adding or pinned:
        host = str(_setting("ollama_host", ruling) or "http://127.0.0.1:11434")
        found += _destinations(host, (*pinned, *(names if adding else ())), ruling, ollama=True)
    for entry in entries:
        if entry.get("backend") == "openai":
            url, name = str(entry.get("server", "")), str(entry.get("name", ""))
            found += _destinations(url, (name,), ruling)
    if words[:2] == _SCAN:
        from localagent.models.openai.ports import USUAL_SERVERS

        for usual in USUAL_SERVERS:
            found += _destinations(usual.url, (), ruling)
    if words[:2] == _ADD and any(word.partition("=")[0] == "--server" for word in words):
        for url in names:
            found += _destinations(url, names, ruling) if "://" in url else []
    return _joined(found)


def _destinations(
    url: str, models: tuple[str, ...], ruling: Policy, *, ollama: bool = False
) -> list[Destination]:
    """Return the destination of a server's address; none if the address is not allowed."""
    from urllib.parse import urlsplit

    from localagent.models.server.address import OLLAMA, OPENAI, checked_host

    try:
        kind = OLLAMA if ollama else OPENAI
        parts = urlsplit(checked_host(url, ruling.allowed_hosts, kind))
    except LocalAgentError:
        return []
    bases = () if ollama else (parts.path or "/v1",)
    ca = os.path.expanduser(str(_setting("server_ca", ruling) or ""))  # noqa: PTH111
    place = parts.hostname or "", parts.port or 0
    return [Destination(*place, models, bases, parts.scheme == "https", ca)]


def _joined(found: Sequence[Destination]) -> tuple[Destination, ...]:
    """Return each destination once, with all its models and base paths.

    An Ollama server comes first and keeps its own API.
    """
    joined: dict[Destination, Destination] = {}
    for each in found:
        known = joined.get(each)
        if known is None:
            joined[each] = each
        elif bool(known.bases) == bool(each.bases):
            models, bases = (*known.models, *each.models), (*known.bases, *each.bases)
            joined[each] = replace(known, models=models, bases=bases)
    return tuple(joined.values())


def _server_entries() -> list[dict[str, object]]:
    """Return the entries of the user's models.lock whose models are in a server.

    Mistakes in models.lock are reported later, when the file is loaded in full.
    """
    try:
        data = (config_dir() / "models.lock").read_bytes()
        has_servers = b"ollama" in data or b"openai" in data
        entries = tomllib.loads(data.decode()).get("model", []) if has_servers else []
    except (OSError, ValueError, RecursionError):
        return []
    listed = entries if isinstance(entries, list) else []
    return [entry for entry in listed if isinstance(entry, dict) and "backend" in entry]


def _ports(ruling: Policy) -> tuple[int, ...]:
    """Return the ports of this machine that sandboxed commands may connect to."""
    found = _setting("sandbox_ports", ruling)
    words = found.split(",") if isinstance(found, str) else found
    if not isinstance(words, list):
        return ()
    with suppress(TypeError, ValueError):
        ports = tuple(dict.fromkeys(map(int, words)))
        if len(ports) <= _MAX_PORTS and all(1024 <= port < 1 << 16 for port in ports):
            return ports
    return ()  # a wrong setting; config.settings reports the mistake


def _setting(key: str, ruling: Policy) -> object:
    """Return an unchecked setting, or None; sources have the same order as in config.settings.

    The project's own settings are not read: a project cannot change the settings used here.
    """
    found: object = None
    try:
        table = tomllib.loads((config_dir() / "config.toml").read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        table = {}
    tables = [table, {key: os.environ.get(f"LOCALAGENT_{key.upper()}") or None}]
    for values in (*tables, *ruling.settings.values()):
        if (value := values.get(key)) is not None:
            found = value
    return found

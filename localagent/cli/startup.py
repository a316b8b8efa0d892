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
from itertools import pairwise
from typing import TYPE_CHECKING

from localagent.config import policy
from localagent.core.errors import LocalAgentError
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
    _close_inherited_sockets()
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


def _names_ray(words: Sequence[str]) -> bool:
    """Return whether a batch runs on a Ray cluster, with which this process then speaks.

    This process runs no model and no command; each task locks its own process.
    """
    return "--engine=ray" in words or ("--engine", "ray") in pairwise(words)


def _close_inherited_sockets() -> None:
    """Close the sockets that the caller left open: they lead out of the lock."""
    try:
        names = os.listdir("/proc/self/fd")  # noqa: PTH208
    except OSError:
        return
    for name in names:
        with suppress(OSError):
            if int(name) > 2 and stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                os.close(int(name))


def finish() -> None:
    """Report blocked connections that were not reported yet."""
    from localagent.egress.blocked import BLOCKED

    for blocked in BLOCKED.drain():
        text = ascii(f"refused: {blocked}")[1:-1]  # on one line, even if a name has line breaks
        sys.stderr.write(f"localagent: {text}\n")


def _servers(words: Sequence[str], ruling: Policy) -> tuple[Destination, ...]:
    """Return the Ollama server that this command may connect to, or no server.

    An address that is not allowed is left out; a later connection to it fails with the reason.
    """
    asks = words[:1] == _DOCTOR and not any(word.startswith(_AS_A_SESSION) for word in words)
    adding = any(word.partition("=")[0] == "--ollama" for word in words)
    models = _ollama_models()
    if not (asks or adding or models is not None):
        return ()
    from urllib.parse import urlsplit

    from localagent.models.ollama.transport import checked_host

    try:
        found = str(_setting("ollama_host", ruling) or "http://127.0.0.1:11434")
        url = urlsplit(checked_host(found, ruling.allowed_hosts))
    except LocalAgentError:
        return ()
    # In `models add --ollama NAME`, every word is allowed as a name, since NAME is one of them.
    named = (*(models or ()), *(word.removeprefix("--ollama=") for word in words if adding))
    return (Destination(url.hostname or "", url.port or 0, named),)


def _ollama_models() -> tuple[str, ...] | None:
    """Return the names of Ollama models in the user's models.lock, or None if there are none.

    Mistakes in models.lock are reported later, when the file is loaded in full.
    """
    try:
        data = (config_dir() / "models.lock").read_bytes()
        entries = tomllib.loads(data.decode()).get("model", []) if b"ollama" in data else []
    except (OSError, ValueError, RecursionError):
        return None
    listed = entries if isinstance(entries, list) else []
    tables = [entry for entry in listed if isinstance(entry, dict)]
    names = [str(e.get("name", "")) for e in tables if e.get("backend") == "ollama"]
    return tuple(names) or None


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

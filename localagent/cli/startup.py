"""The first steps of every command: read the administrator's policy, and close the egress lock.

They precede every file of a project, every plug-in and every prompt, which thus cannot weaken them.
Every start pays for them, so they validate only what exists.
"""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from localagent.config import policy
from localagent.core.errors import LocalAgentError
from localagent.core.paths import config_dir
from localagent.egress import Destination, lock

if TYPE_CHECKING:
    from localagent.config.policy import Policy

_FETCH = ("models", "fetch")
"""The only command whose child (pip) may connect, unless --from or an offline policy forbids it."""
_DOCTOR = ("doctor",)
"""Queries the Ollama server of the settings, also where no model needs it."""
_AS_A_SESSION = ("--airgap", "--report")
"""Flags of doctor that test the guarantee, so they get no more connections than a session."""
_MAX_PORTS = 16
"""As in config.schema."""
_HARMLESS = (("--version",), ("--help",), ("-h",))
"""Command lines that print a text and do nothing."""


def prepare(argv: Sequence[str]) -> None:
    """Lock this process for the command line `argv`.

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
    lock.lock(_servers(words, ruling), ports, kernel=ruling.offline or not fetches)


def finish() -> None:
    """Report blocked connections that were not reported yet."""
    from localagent.egress.blocked import BLOCKED

    for blocked in BLOCKED.drain():
        text = ascii(f"refused: {blocked}")[1:-1]  # one line, whatever a name holds
        sys.stderr.write(f"localagent: {text}\n")


def _servers(words: Sequence[str], ruling: Policy) -> tuple[Destination, ...]:
    """The Ollama server that this command may connect to: one with a known or added model.

    An address that is not allowed is left out; whoever connects to it gets the reason.
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
    # One of the words of `models add --ollama NAME` is the name.
    named = (*(models or ()), *(word.removeprefix("--ollama=") for word in words if adding))
    return (Destination(url.hostname or "", url.port or 0, named),)


def _ollama_models() -> tuple[str, ...] | None:
    """The names of Ollama's models in the user's models.lock; None for none.

    Mistakes in the file are reported where it is loaded.
    """
    try:
        data = (config_dir() / "models.lock").read_bytes()
        entries = tomllib.loads(data.decode()).get("model", []) if b"ollama" in data else []
    except (OSError, ValueError):
        return None
    listed = entries if isinstance(entries, list) else []
    tables = [entry for entry in listed if isinstance(entry, dict)]
    names = [str(e.get("name", "")) for e in tables if e.get("backend") == "ollama"]
    return tuple(names) or None


def _ports(ruling: Policy) -> tuple[int, ...]:
    """The ports of this machine that sandboxed commands may connect to."""
    found = _setting("sandbox_ports", ruling)
    words = found.split(",") if isinstance(found, str) else found
    if not isinstance(words, list):
        return ()
    with suppress(TypeError, ValueError):
        ports = tuple(dict.fromkeys(map(int, words)))
        if len(ports) <= _MAX_PORTS and all(1024 <= port < 1 << 16 for port in ports):
            return ports
    return ()  # config.settings reports the mistake


def _setting(key: str, ruling: Policy) -> object:
    """A setting in the order of config.settings, without its checks; None where it is not set.

    The settings of this module are those that a project cannot change.
    """
    found: object = None
    try:
        table = tomllib.loads((config_dir() / "config.toml").read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError):
        table = {}
    tables = [table, {key: os.environ.get(f"LOCALAGENT_{key.upper()}") or None}]
    for values in (*tables, *ruling.settings.values()):
        if (value := values.get(key)) is not None:
            found = value
    return found

"""What happens before any command: the administrator's policy is read, and the egress lock closed.

Before any file of a project, any plug-in and any prompt is read, so that nothing of these can have
a say. Cheap, as every start pays for it: nothing is validated that is not there.
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

# The one command whose child (pip) may reach out, unless --from names a file or the policy says
# offline.
_FETCH = ("models", "fetch")
# Asks the Ollama server at the address of the settings who it is, also where no model needs it; to
# try out the guarantee, no door is opened that a session would not have.
_DOCTOR = ("doctor",)
_AS_A_SESSION = ("--airgap", "--report")
_MOST_PORTS = 16  # as in config_schema
# These tell of the program itself and do nothing.
_HARMLESS = (("--version",), ("--help",), ("-h",))


def prepare(argv: Sequence[str]) -> None:
    """Lock this process for the command line `argv`. Raises ConfigError for a policy that cannot
    be read or is wrong."""
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
    """Tell of refused attempts that nothing has told the user of."""
    from localagent.egress.blocked import BLOCKED

    for blocked in BLOCKED.drain():
        text = ascii(f"refused: {blocked}")[1:-1]  # whatever a name holds, it stays one line
        sys.stderr.write(f"localagent: {text}\n")


def _servers(words: Sequence[str], ruling: Policy) -> tuple[Destination, ...]:
    """The Ollama server, where a model of one is known or about to be; with none, no server is
    ever dialled. An address that is not allowed gets no door; who asks for it is told why."""
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
    # Of the words of `models add --ollama NAME` one is the name.
    named = (*(models or ()), *(word.removeprefix("--ollama=") for word in words if adding))
    return (Destination(url.hostname or "", url.port or 0, named),)


def _ollama_models() -> tuple[str, ...] | None:
    """The names of the models of Ollama's in the user's models.lock; None where it has none. What
    is wrong with the file is said where it is loaded."""
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
    """The ports of this machine that the sandbox's commands may reach."""
    found = _setting("sandbox_ports", ruling)
    words = found.split(",") if isinstance(found, str) else found
    if not isinstance(words, list):
        return ()
    with suppress(TypeError, ValueError):
        ports = tuple(dict.fromkeys(map(int, words)))
        if len(ports) <= _MOST_PORTS and all(1024 <= port < 1 << 16 for port in ports):
            return ports
    return ()  # said where the settings are checked


def _setting(key: str, ruling: Policy) -> object:
    """A setting by the order of config.load, without its checks: what is wrong is said there. A
    project has no say in those that are asked for here. None where nobody sets it."""
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

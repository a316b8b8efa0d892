"""`localagent models scan`: the servers with OpenAI's API on the usual ports of this machine.

The scan lists their models; it loads none and sends nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

from localagent.core.errors import LocalAgentError, ServerError
from localagent.models import BackendSettings
from localagent.models.openai import pinning
from localagent.models.openai.backend import server_address
from localagent.models.openai.client import OpenAiClient
from localagent.models.openai.ports import USUAL_SERVERS, UsualServer
from localagent.models.server.background import run_once
from localagent.models.server.errors import one_line

_SECONDS = 3.0  # for the list of a server's models


@dataclass(frozen=True, slots=True)
class ServerListing:
    """A server that answers on a usual port, with its models.

    `programs` listen there by default. `problem` says why the models are unknown, or is "".
    """

    url: str
    programs: str
    models: tuple[str, ...]
    problem: str = ""


def scan_servers(settings: BackendSettings) -> list[ServerListing]:
    """The servers on the usual ports. Another program on such a port is no server."""
    found = (_ask(usual, settings) for usual in USUAL_SERVERS)
    return [server for server in found if server is not None]


def _ask(usual: UsualServer, settings: BackendSettings) -> ServerListing | None:
    url, programs = usual.url, usual.programs
    try:
        client = OpenAiClient(server_address(url, settings))
        models = run_once(client, lambda opened: pinning.listed(opened, _SECONDS))
    except ServerError as error:
        needs_key = "status 401" in error.message or "status 403" in error.message
        return (
            ServerListing(url, programs, (), "it wants a key: server_keys") if needs_key else None
        )
    except LocalAgentError:
        return None
    return ServerListing(url, programs, tuple(one_line(model.id) for model in models))

"""The ports on which programs serve OpenAI's API by default, for `models scan`."""

from __future__ import annotations

from typing import NamedTuple


class UsualServer(NamedTuple):
    """The programs that listen on a port of this machine by default, and their base path."""

    programs: str
    port: int
    base: str = "/v1"

    @property
    def url(self) -> str:
        """The address to scan."""
        return f"http://127.0.0.1:{self.port}{self.base}"


USUAL_SERVERS = (
    UsualServer("llama-server, llamafile", 8080),
    UsualServer("llama-server", 9931),
    UsualServer("LM Studio", 1234),
    UsualServer("vLLM, llama-cpp-python", 8000),
    UsualServer("Docker Model Runner", 12434, "/engines/v1"),
    UsualServer("Lemonade", 13305),
    UsualServer("Jan", 1337),
    UsualServer("KoboldCpp", 5001),
    UsualServer("SGLang", 30000),
)

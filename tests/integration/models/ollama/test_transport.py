"""Nothing goes anywhere but to the server that the setting names, and that is on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from localagent.core.errors import LocalAgentError, NotLocal, UsageError
from localagent.core.messages import Message
from localagent.models.base import ModelInfo, Profile, Request
from localagent.models.ollama.backend import Ollama
from localagent.models.server.address import checked_host
from tests.doubles.ollama_server import DIGEST, Pulled
from tests.doubles.ollama_server import Ollama as Server

ASK = Request((Message("user", "a secret"),))


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


@pytest.fixture
def elsewhere() -> Iterator[Server]:
    """A server that must not hear anything."""
    with Server() as running:
        yield running
        assert running.seen == []


def ask(server: Server, name: str = "toy:1b") -> None:
    info = ModelInfo("toy", "ollama", DIGEST, Profile())
    with Ollama(name, info, host=server.url, answer=5) as asked:
        list(asked.generate(ASK))


@pytest.mark.parametrize(
    ("setting", "url"),
    [
        ("http://127.0.0.1:11434", "http://127.0.0.1:11434"),
        ("127.0.0.1", "http://127.0.0.1:11434"),
        ("127.9.9.9:80", "http://127.9.9.9:80"),
        ("localhost", "http://127.0.0.1:11434"),
        ("LOCALHOST:8080/", "http://127.0.0.1:8080"),
        ("http://[::1]:5000", "http://[::1]:5000"),
        ("https://127.0.0.1", "https://127.0.0.1:443"),
    ],
)
def test_addresses_of_this_machine(setting: str, url: str) -> None:
    assert checked_host(setting) == url


@pytest.mark.parametrize(
    "setting",
    [
        "http://10.0.0.7:11434",
        "0.0.0.0",
        "ollama.example",
        "https://ollama.example",
        "localhost.example",
        "127.0.0.1.example",
        "http://[2001:db8::1]:11434",
        "http://[::ffff:10.0.0.7]",
        "169.254.169.254",
    ],
)
def test_other_machines_are_refused(setting: str) -> None:
    with pytest.raises(NotLocal) as caught:
        checked_host(setting)
    assert "is not on this machine" in caught.value.message
    info = ModelInfo("toy", "ollama", DIGEST, Profile())
    with pytest.raises(NotLocal):
        Ollama("toy:1b", info, host=setting)


def test_other_machines_may_be_allowed() -> None:
    allowed = ["GPU.example", "10.0.0.7"]
    assert checked_host("gpu.example", allowed) == "http://gpu.example:11434"
    assert checked_host("https://10.0.0.7", allowed) == "https://10.0.0.7:443"
    with pytest.raises(NotLocal):
        checked_host("other.gpu.example", allowed)


@pytest.mark.parametrize(
    "setting",
    [
        *("", "ftp://127.0.0.1", "http://", "http://127.0.0.1:port", "http://127.0.0.1:99999"),
        *(
            "http://127.0.0.1/api",
            "http://user@127.0.0.1",
            "http://127.0.0.1?x=1",
            "[::1",
            "unix:/x",
        ),
    ],
)
def test_what_is_no_address_is_told_so(setting: str) -> None:
    with pytest.raises((UsageError, NotLocal)) as caught:
        checked_host(setting)
    assert "127.0.0.1:11434" in caught.value.hint


def test_the_environment_moves_nothing(
    server: Server, elsewhere: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, elsewhere.url)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OLLAMA_HOST", elsewhere.url)
    monkeypatch.setenv("OLLAMA_API_KEY", "sesame")
    ask(server)
    assert len(server.bodies("/api/chat")) == 1
    assert [s for s in server.seen if "authorization" in s.headers or "sesame" in str(s)] == []


def test_the_users_netrc_is_not_sent(server: Server, home: object) -> None:
    from pathlib import Path

    Path(str(home), ".netrc").write_text("machine 127.0.0.1 login me password sesame\n")
    ask(server)
    assert [s for s in server.seen if "authorization" in s.headers] == []


@pytest.mark.parametrize("where", ["another port", "a name"])
def test_a_redirect_is_refused(server: Server, elsewhere: Server, where: str) -> None:
    server.fault = "redirect"
    server.redirect_to = elsewhere.url if where == "another port" else "http://ollama.example"
    with pytest.raises(NotLocal) as caught:
        ask(server)
    assert f"redirects to {server.redirect_to}" in caught.value.message


def test_a_redirect_of_the_prompt_itself_is_refused(server: Server, elsewhere: Server) -> None:
    info = ModelInfo("toy", "ollama", DIGEST, Profile())
    with Ollama("toy:1b", info, host=server.url) as asked:
        list(asked.generate(ASK))
        server.fault, server.redirect_to = "redirect", elsewhere.url
        with pytest.raises(NotLocal):
            list(asked.generate(ASK))


@pytest.mark.parametrize("only", ["", "tags", "show"])
def test_a_model_in_a_cloud_is_refused_before_anything_is_sent(server: Server, only: str) -> None:
    """As the list tells it, as the model's own page tells it, or both."""
    server.models = [Pulled("toy:1b", remote_host="https://cloud.example", remote_only_in=only)]
    with pytest.raises(NotLocal, match=r"cloud\.example") as caught:
        ask(server)
    assert isinstance(caught.value, LocalAgentError)
    assert caught.value.exit_code == 3
    assert server.bodies("/api/chat") == []
    assert "a secret" not in str(server.seen)


@pytest.mark.parametrize("name", ["toy:cloud", "toy:120b-cloud", "me/toy:Cloud", "toy:1b:cloud"])
def test_a_cloud_models_name_is_enough(server: Server, name: str) -> None:
    """Nobody is asked at all: the server would ask the cloud about it."""
    server.models = [Pulled(name)]
    with pytest.raises(NotLocal):
        ask(server, name)
    assert server.seen == []


def test_a_cloud_in_the_middle_of_a_name_is_none(server: Server) -> None:
    server.models = [Pulled("cloud-toy:1b")]
    ask(server, "cloud-toy:1b")
    assert len(server.bodies("/api/chat")) == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OLLAMA_HOST", "http://[bad"),
        ("OLLAMA_HOST", "x:y:z"),
        ("ALL_PROXY", "socks5://127.0.0.1:1"),
        ("SSL_CERT_FILE", "/nonexistent"),
    ],
)
def test_what_the_package_cannot_read_in_the_environment_ends_nothing(
    server: Server, name: str, value: str
) -> None:
    """The package reads it when it is imported, so in a process of its own."""
    code = (
        "import sys; from localagent.models.ollama import pinning;"
        "import os; print(pinning.status(sys.argv[1]).version, os.environ[sys.argv[2]])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, server.url, name],
        env={**os.environ, name: value},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.split() == [server.version, value], done.stderr

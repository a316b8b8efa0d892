"""A server that lies, hangs or was changed: each time the right error, and no key in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.core.errors import (
    ConfigError,
    ContextOverflow,
    LocalAgentError,
    ModelFileError,
    ModelLoadError,
    ModelNotInstalled,
    NotLocal,
    PromptTruncated,
    ServerError,
    WorkerDied,
    WorkerHung,
)
from localagent.core.messages import Message
from localagent.models.base import Chunk, Finish, Request
from localagent.models.catalog import manage
from localagent.models.openai.backend import OpenAiModel, read_key, server_address
from tests.doubles.openai_server import URL, OpenAiServer, Opener, add, settings

ASK = Request((Message("system", "Be brief. " * 20), Message("user", "Is all well? " * 20)))
KEY = "sk-very-secret-0123456789"


def failure(model: OpenAiModel, request: Request = ASK) -> LocalAgentError:
    """What the request raises: no end of a reply, and two lines that a terminal can show."""
    chunks: list[Chunk] = []
    with pytest.raises(LocalAgentError) as caught:
        chunks.extend(model.generate(request))
    assert not [chunk for chunk in chunks if isinstance(chunk, Finish)]
    for line in (caught.value.message, caught.value.hint):
        assert line.isprintable()
        assert KEY not in line
    return caught.value


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ("nobody", ModelLoadError, "no model server answers"),
        ("redirect", NotLocal, "redirects to http://192.0.2.9/v1/models; nothing was sent there"),
        ("html", ServerError, "not its protocol"),
        ("500", ServerError, "status 500: your key"),
        ("401", ServerError, "status 401"),
        ("loading", ModelLoadError, "still loading its model"),
        ("truncation", PromptTruncated, "read 12 tokens of a prompt that has at least"),
        ("no-counts", ServerError, "does not say how much of the prompt it read"),
        ("other-model", ModelFileError, "answers with the model another, not with toy"),
        ("other-tokens", ModelFileError, "its tokens is"),
        ("cut", WorkerDied, "before it was complete"),
        ("endless", ServerError, "more than the 1024 tokens"),
        ("broken", ServerError, "not its protocol"),
        ("error-event", ServerError, "in the middle of a reply"),
        ("answer-500", ServerError, "status 500"),
        ("too-long", ContextOverflow, "window holds 1024"),
    ],
)
def test_a_lie_has_its_error(
    server: OpenAiServer, opened: Opener, fault: str, kind: type[LocalAgentError], said: str
) -> None:
    model = opened()
    server.fault = fault
    found = failure(model)
    assert type(found) is kind
    assert said in found.message
    server.fault = ""
    assert next(c for c in model.generate(ASK) if isinstance(c, Finish)).reason == "stop"


@pytest.mark.parametrize("fault", ["pings", "hang"])
def test_a_hang_ends_with_the_silence(server: OpenAiServer, opened: Opener, fault: str) -> None:
    model = opened(silence=0.2)
    server.fault = fault
    assert type(failure(model)) is WorkerHung
    assert server.ended == len(server.bodies())


def test_another_model_under_the_same_name(server: OpenAiServer, opened: Opener) -> None:
    model = opened()
    server.template += "{# a word for every prompt #}"
    server.size += 1
    found = failure(model)
    assert type(found) is ModelFileError
    assert "its size is 1000001, not 1000000" in found.message
    assert "its template_sha256 is" in found.message
    assert server.bodies() == []


def test_another_name(server: OpenAiServer, opened: Opener) -> None:
    model = opened()
    server.model = "other\x1b[31m"
    found = failure(model)
    assert type(found) is ModelNotInstalled
    assert "its models are: other" in found.hint


def test_a_smaller_window(server: OpenAiServer, opened: Opener) -> None:
    model = opened()
    server.window = 2048
    found = failure(model)
    assert type(found) is ModelLoadError
    assert "a window of 2048 tokens, and 8192 were asked for" in found.message


def test_a_file_that_changed(server: OpenAiServer, opened: Opener, tmp_path: Path) -> None:
    file = tmp_path / "toy.gguf"
    file.write_bytes(b"one")
    server.software, server.model = "llama-cpp-python", str(file)
    model = opened(add(server))
    assert [c for c in model.generate(ASK) if isinstance(c, Finish)]
    file.write_bytes(b"two")
    assert "its sha256 is" in failure(model).message


def test_a_prompt_that_a_server_would_drop(server: OpenAiServer, opened: Opener) -> None:
    server.software = "llama-cpp-python"
    model = opened(add(server, window=1024))
    long = Request((Message("user", "word " * 600),))
    assert failure(model, long).message.endswith("the model's window holds 1024")
    assert server.bodies() == []


@pytest.mark.parametrize("fault", ["401", "500", "answer-500", "error-event"])
def test_a_key_in_an_error(
    server: OpenAiServer, tmp_path: Path, fault: str, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    file.chmod(0o600)
    address = server_address(URL, settings(server_keys={"127.0.0.1:8080": str(file)}))
    assert KEY not in f"{address!r} {address}"
    server.fault = fault
    with pytest.raises(LocalAgentError) as caught:
        manage.add_from_server(server.model, address)
    assert server.seen[-1].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in caught.value.message + caught.value.hint
    assert KEY not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("a key\n", 0o600, "does not hold one key"),
        ("", 0o600, "does not hold one key"),
        ("secret", 0o644, "other users can read the key"),
    ],
)
def test_files_that_are_no_keys(tmp_path: Path, text: str, mode: int, said: str) -> None:
    file = tmp_path / "key"
    file.write_text(text)
    file.chmod(mode)
    with pytest.raises(ConfigError) as caught:
        read_key(file)
    assert said in caught.value.message
    assert "secret" not in caught.value.message
    with pytest.raises(ConfigError, match="cannot read the key"):
        read_key(tmp_path / "missing")


def test_a_key_does_not_leave_in_the_clear(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(0o600)
    given = settings(server_keys={"gpu.example": str(file)}, allowed=("gpu.example",))
    with pytest.raises(ConfigError, match="without TLS"):
        server_address("http://gpu.example:8000/v1", given)
    assert server_address("https://gpu.example/v1", given).key == KEY
    with pytest.raises(NotLocal):
        server_address("https://other.example/v1", given)


def test_a_port_that_commands_may_use() -> None:
    with pytest.raises(ConfigError, match="sandbox_ports has 8080"):
        server_address(URL, settings(sandbox_ports=(8080,)))

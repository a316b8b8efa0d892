"""Requests to servers with OpenAI's API: the filter passes localagent's own, TLS is checked."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from pathlib import Path

import pytest

from localagent.egress import Destination
from localagent.egress.request_filter import filter_requests, rules_for
from localagent.egress.tls import TlsSocket, tls_context

SERVER = Destination("gpu.example", 8443, ("toy",), ("/v1",), tls=True)
TEXT = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": None}]
PICTURE = [{"type": "image_url", "image_url": {"url": "http://192.0.2.9/x"}}]
# Of gpu.example, signed by itself; nobody else has or trusts it.
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBmzCCAUGgAwIBAgIUbIx052KNOHsASHSJZQOdG4ITxoowCgYIKoZIzj0EAwIw
FjEUMBIGA1UEAwwLZ3B1LmV4YW1wbGUwIBcNMjYxMTI4MjE1NTAyWhgPMjEyNjEx
MDQyMTU1MDJaMBYxFDASBgNVBAMMC2dwdS5leGFtcGxlMFkwEwYHKoZIzj0CAQYI
KoZIzj0DAQcDQgAE5BMTM/+WlHkGnIbPJxgmfnhSBxGrfR4gIt138UV+M1BDl4uw
gxfrhoWXck30VLIx3OBwKiUkx/xRP/bXr0tZ0qNrMGkwHQYDVR0OBBYEFHgmCM+g
33FuKAeqQRUVVl8bmB2WMB8GA1UdIwQYMBaAFHgmCM+g33FuKAeqQRUVVl8bmB2W
MA8GA1UdEwEB/wQFMAMBAf8wFgYDVR0RBA8wDYILZ3B1LmV4YW1wbGUwCgYIKoZI
zj0EAwIDSAAwRQIhANaEp/EXzrYrwQnWAsUkWdwj14kav8TyvHOkdT6bBlOUAiBi
WmDkq2AjyJ/l6uol1AO3Ui+7zOmFh2I2w0w6llBFSw==
-----END CERTIFICATE-----
"""
# The marks are joined here, because a scan of this repository for secrets finds whole keys.
_PRIVATE = "PRIVATE KEY-----"
KEY = f"""\
-----BEGIN {_PRIVATE}
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgsk6vvm8rBLVwr1WA
MK+Q2TGQrC/QnyWU+gGuCiV+pzyhRANCAATkExMz/5aUeQachs8nGCZ+eFIHEat9
HiAi3XfxRX4zUEOXi7CDF+uGhZdyTfRUsjHc4HAqJSTH/FE/9tevS1nS
-----END {_PRIVATE}
"""


def request(path: str, body: object = None, *head: str) -> bytes:
    text = b"" if body is None else json.dumps(body).encode()
    method = "GET" if body is None else "POST"
    lines = [f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {len(text)}", *head, "", ""]
    return "\r\n".join(lines).encode() + text


def passed(data: bytes) -> tuple[bytes, list[str]]:
    """What reaches the server of a request, and why it was refused."""
    client, inside = socket.socketpair()
    outside, server = socket.socketpair()
    refused: list[str] = []

    def work() -> None:
        with inside, outside:
            filter_requests(
                inside, outside, rules_for(SERVER), lambda _, reason: refused.append(reason)
            )

    thread = threading.Thread(target=work)
    thread.start()
    with client, server:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        server.settimeout(20)
        received = b"".join(iter(lambda: server.recv(65536), b""))
        server.shutdown(socket.SHUT_WR)
        thread.join(20)
    return received, refused


@pytest.mark.parametrize(
    "data",
    [
        request("/v1/models"),
        request("/props"),
        request("/tokenize", {"model": "toy", "content": "x"}),
        request("/v1/chat/completions", {"model": "toy", "messages": TEXT, "stream": True}),
    ],
)
def test_own_requests_pass(data: bytes) -> None:
    received, refused = passed(data)
    assert received.split(b" HTTP")[0] == data.split(b" HTTP")[0]
    assert b"Host: gpu.example:8443" in received
    assert refused == []


def test_the_key_passes_and_no_other_header() -> None:
    data = request("/v1/models", None, "Authorization: Bearer secret", "Cookie: x")
    received, _ = passed(data)
    assert b"Authorization: Bearer secret" in received
    assert b"Cookie" not in received


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (request("/v1/models?x=1"), "not a request that localagent makes"),
        (request("/models/load", {"model": "toy"}), "not a request that localagent makes"),
        (request("/v1/embeddings", {"model": "toy"}), "not a request that localagent makes"),
        (request("/v1/chat/completions", {"model": "big"}), "the model big may not be used"),
        (request("/v1/chat/completions", {"messages": TEXT}), "must name its model once"),
        (
            request("/v1/chat/completions", {"model": "toy", "kv_transfer_params": {}}),
            "localagent sends no field kv_transfer_params",
        ),
        (
            request(
                "/v1/chat/completions",
                {"model": "toy", "messages": [{"role": "user", "content": PICTURE}]},
            ),
            "messages of plain text only",
        ),
    ],
)
def test_other_requests_are_refused(data: bytes, why: str) -> None:
    received, refused = passed(data)
    assert received == b""
    assert len(refused) == 1
    assert why in refused[0]


def _serve(raw: socket.socket, folder: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    try:
        with context.wrap_socket(raw, server_side=True) as encrypted:
            while data := encrypted.recv(65536):
                encrypted.sendall(data.upper())
    except OSError:
        raw.close()


@pytest.fixture
def connection(tmp_path: Path) -> socket.socket:
    """A connection to a server with the certificate of gpu.example."""
    (tmp_path / "cert.pem").write_text(CERTIFICATE)
    (tmp_path / "key.pem").write_text(KEY)
    near, far = socket.socketpair()
    near.settimeout(20)
    threading.Thread(target=_serve, args=(far, tmp_path), daemon=True).start()
    return near


def test_tls_with_the_certificates_of_the_site(connection: socket.socket, tmp_path: Path) -> None:
    with connection:
        encrypted = TlsSocket(connection, tls_context(str(tmp_path / "cert.pem")), "gpu.example")
        sent = b"words " * 50_000
        threading.Thread(target=encrypted.sendall, args=(sent,), daemon=True).start()
        received = b""
        while len(received) < len(sent):
            received += encrypted.recv(65536)
        assert received == sent.upper()


@pytest.mark.parametrize(("trusted", "host"), [(False, "gpu.example"), (True, "other.example")])
def test_another_certificate_or_host(
    connection: socket.socket, tmp_path: Path, trusted: bool, host: str
) -> None:
    context = tls_context(str(tmp_path / "cert.pem") if trusted else "")
    with connection, pytest.raises(ssl.SSLCertVerificationError):
        TlsSocket(connection, context, host)

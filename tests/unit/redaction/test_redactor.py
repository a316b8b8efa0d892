"""What a model must not see has redactor in its place, and comes back where it belongs."""

from __future__ import annotations

import string

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from localagent.redaction.redactor import Redactor
from localagent.redaction.unicode import CONTROLS, INVISIBLE, without_escapes

MANY = settings(max_examples=300, deadline=None)
TOKEN = "ghp_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0dF3hJ6"
CHOSEN = "kV9!bq2" + "#Lm"
OTHER = "glpat-" + "xY1zW2vU3tS4rQ5pO6nM"
BASE64 = string.ascii_letters + string.digits + "+/"
KEY_BODY = "\n".join(BASE64[n:] + BASE64[:n] for n in range(12))
KEY = f"-----BEGIN RSA PRIVATE KEY-----\n{KEY_BODY}\n-----END RSA PRIVATE KEY-----"

HOSTILE = "".join(map(chr, [*CONTROLS[:8], 0x1B, 0x9B, *INVISIBLE[:12], 0x202E, 0x2066, 0xE0041]))
PIECES = st.sampled_from(
    [
        *(
            f" {TOKEN} ",
            f"'{OTHER}'",
            f"{KEY}\n",
            f'password = "{TOKEN[8:20]}!"',
            "a",
            " ",
            "\n",
            '"',
            "é",
            "🙂",
        ),
        *("def f():\n    return 1\n", "\x1b[31m", "\u202e", "\u200b\u200b", "\x00", "\ufeff", "‍"),
    ]
)
TEXTS = st.one_of(
    st.lists(PIECES, max_size=12).map("".join),
    st.text(alphabet=st.sampled_from(HOSTILE + "ab \n=:'\"" + TOKEN), max_size=80),
)


@MANY
@given(TEXTS)
def test_what_is_hidden_comes_back_where_it_was(text: str) -> None:
    redactor = Redactor()
    shown = redactor.redact(text)
    for secret in (TOKEN, OTHER, KEY_BODY):
        assert secret not in shown
    assert not set(shown) & set(HOSTILE)
    assert redactor.redact(shown) == shown
    assert redactor.redact(text) == shown
    assert redactor.restore(shown, text) == text


@MANY
@given(TEXTS, TEXTS)
def test_what_a_text_was_shown_as_does_not_change(text: str, later: str) -> None:
    """The model has read it, and reads nothing twice."""
    redactor = Redactor()
    shown = redactor.redact(text)
    redactor.redact(later)
    assert redactor.redact(text) == shown
    assert redactor.redact(shown) == shown


@MANY
@given(TEXTS)
def test_lines_keep_their_numbers(text: str) -> None:
    lines = Redactor().redact_lines(text)
    assert len(lines) == text.count("\n") + 1
    for line, was in zip(lines, text.split("\n"), strict=True):
        assert line == was or "⟨secret" in line or not line


def test_one_secret_has_one_mark() -> None:
    redactor = Redactor()
    assert redactor.redact(f"a {TOKEN} b {OTHER} {TOKEN}") == (
        "a ⟨secret 1: github token⟩ b ⟨secret 2: gitlab token⟩ ⟨secret 1: github token⟩"
    )
    assert redactor.redact(f"{OTHER}") == "⟨secret 2: gitlab token⟩"


def test_a_known_secret_is_hidden_where_its_form_does_not_show_it() -> None:
    redactor = Redactor()
    redactor.redact(f'password = "{CHOSEN}"')
    assert redactor.redact(f"$ echo {CHOSEN}") == "$ echo ⟨secret 1: value⟩"


def test_a_known_key_is_hidden_line_by_line() -> None:
    """As a search prints it, or a diff, or a part of a file."""
    redactor = Redactor()
    redactor.add(KEY)
    lines = KEY_BODY.split("\n")
    assert redactor.redact(f"key.txt:3: {lines[2]}") == "key.txt:3: ⟨secret 1: private key⟩"
    assert lines[5] not in redactor.redact(f"+{lines[4]}\n+{lines[5]}\n")


def test_a_secret_that_reads_like_a_mark_breaks_none() -> None:
    redactor = Redactor()
    redactor.redact('password = "secret 1: value1"')
    redactor.redact("db://me:gitlab token⟩9@host")
    shown = redactor.redact(f"x {OTHER} y")
    assert redactor.redact(shown) == shown
    assert redactor.restore(shown, OTHER) == f"x {OTHER} y"


def test_a_mark_is_turned_back_only_where_the_secret_is() -> None:
    redactor = Redactor()
    shown = redactor.redact(TOKEN)
    assert redactor.restore(f"t = '{shown}'", f"t = '{TOKEN}'") == f"t = '{TOKEN}'"
    assert redactor.restore(f"t = '{shown}'", "another file") == f"t = '{shown}'"
    assert redactor.first_placeholder(f"t = '{shown}'") == shown
    assert redactor.first_placeholder("t = '⟨U+202E⟩'") == "⟨U+202E⟩"
    assert not redactor.first_placeholder("t = '⟨x⟩'")


def test_a_text_about_marks_keeps_its_own() -> None:
    text = "the mark ⟨secret 1: value⟩ and ⟨U+202E⟩ are documented here"
    redactor = Redactor()
    redactor.redact(f"{TOKEN} \u202e")
    assert redactor.restore(text, text, f"{TOKEN} \u202e") == text
    assert not redactor.first_placeholder(text, text)


def test_numbers_of_an_earlier_session_are_not_used_again() -> None:
    redactor = Redactor(["Result of read:\n1|⟨secret 7: github token⟩"])
    assert redactor.redact(OTHER) == "⟨secret 8: gitlab token⟩"


def test_what_was_hidden_is_told_once() -> None:
    redactor = Redactor()
    assert redactor.drain() == ""
    redactor.redact(f"{TOKEN} {OTHER}")
    assert redactor.drain() == "secret 1 (github token), secret 2 (gitlab token)"
    redactor.redact(f"again {TOKEN}")
    assert redactor.drain() == ""


@pytest.mark.parametrize(
    ("printed", "text"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;http://e\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;ZXZpbA==\x07", ""),
        ("\x1bPq#0\x1b\\x", "x"),
        ("\x1b[2J\x1b[1;1Hx", "x"),
        ("\x1b(Bx\x1b7\x1bMy", "xy"),
        ("10%\r50%\r100%\n", "100%\n"),
        ("a\r\nb\r\n", "a\nb\n"),
        ("plain", "plain"),
    ],
)
def test_escape_sequences_are_taken_out(printed: str, text: str) -> None:
    assert without_escapes(printed) == text


@MANY
@given(st.text(alphabet="\x1b\x9b[]PX^_;?0123m \r\n\x07\\\x9cabJ(", max_size=60))
def test_no_terminal_sees_an_escape(printed: str) -> None:
    shown = Redactor().redact(without_escapes(printed))
    assert not any(ord(char) < 0x20 and char not in "\n\t" for char in shown)
    assert not any(0x7F <= ord(char) < 0xA0 for char in shown)


@MANY
@given(st.text(max_size=60), st.text(max_size=60))
def test_nothing_hidden_nothing_changed(text: str, other: str) -> None:
    assume("⟨" not in text)
    redactor = Redactor()
    if redactor.redact(text) == text:
        assert redactor.restore(text, other) == text

"""Numbers and times as words, and the signs that a terminal can show."""

from __future__ import annotations

import pytest

from localagent.ui.view import format as words


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1, "0.0 s"),
        (0.44, "0.4 s"),
        (9.96, "10 s"),
        (48.3, "48 s"),
        (59.6, "1 min"),
        (125, "2 min 5 s"),
        (3599.7, "1 h 0 min"),
        (3780, "1 h 3 min"),
    ],
)
def test_duration(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "about 1 s left"), (6.2, "about 6 s left"), (130, "about 2 min left")]
)
def test_remaining(seconds: float, said: str) -> None:
    assert words.remaining(seconds) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (491_400_064, "491 MB"),
        (999_999, "1.0 MB"),
        (1_117_320_768, "1.1 GB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_size(count: int, said: str) -> None:
    assert words.size(count) == said


def test_counts() -> None:
    assert words.count(1, "file") == "1 file"
    assert words.count(1204, "token") == "1,204 tokens"
    assert words.tests(None, None) == ""
    assert words.tests(12, 0) == "12 passed"
    assert words.tests(11, 1) == "11 passed, 1 failed"
    assert words.tests(None, 2) == "0 passed, 2 failed"


@pytest.mark.parametrize(
    ("encoding", "env", "unicode"),
    [
        ("utf-8", {"LANG": "de_DE.UTF-8"}, True),
        ("utf-8", {"LC_ALL": "C.utf8"}, True),
        ("utf-8", {"LC_ALL": "C", "LANG": "de_DE.UTF-8"}, False),
        ("utf-8", {}, False),
        ("ascii", {"LANG": "de_DE.UTF-8"}, False),
        ("cp1252", {}, False),
    ],
)
def test_signs(
    encoding: str, env: dict[str, str], unicode: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    chosen = words.symbols_for(encoding, env)
    assert (chosen is words.UNICODE) == unicode
    assert all("".join((s.ok, s.bad, s.dot, s.frames)).isascii() for s in [words.ASCII])

"""Output of a check that was made to break its reader."""

from __future__ import annotations

import pytest

from localagent.agent.checks.runner import _counts, _split_probe


@pytest.mark.parametrize(
    "output",
    [
        "9" * 5000 + " passed",
        "Ran " + "9" * 5000 + " tests in 0.1s\n\nOK\n",
        "Ran 2 tests in 0.1s\n\nFAILED (failures=" + "9" * 5000 + ")\n",
        "# pass " + "9" * 5000,
    ],
)
def test_numbers_without_end(output: str) -> None:
    _counts(output)


def test_a_probe_line_without_end() -> None:
    assert _split_probe("LOCALAGENT-PROBE " + "[" * 100_000 + "\nrest") == ("rest", ())


def test_a_probe_line_with_an_infinite_number() -> None:
    report = '{"tests": {"t": {"outcome": "failed", "frames": [["a.py", Infinity]]}}, "lines": {}}'
    assert _split_probe(f"LOCALAGENT-PROBE {report}\nrest") == ("rest", ())

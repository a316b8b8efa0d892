"""The report that bwrap writes on its status descriptor."""

from __future__ import annotations

import sys

import pytest

if sys.platform == "win32":
    pytest.skip("there is no launcher", allow_module_level=True)

from localagent.sandbox.launcher.bubblewrap import _number


@pytest.mark.parametrize(
    ("report", "key", "number"),
    [
        (b'{ "child-pid": 12, "ipc-namespace": 4026 }\n', b"child-pid", 12),
        (b'{\n    "child-pid": 7\n}\n{ "exit-code": 143 }\n', b"exit-code", 143),
        (b'{ "exit-code":0 }', b"exit-code", 0),
        (b'{ "child-pid": ', b"child-pid", None),
        (b'{ "child-pid": 1', b"child-pid", None),
        (b"", b"child-pid", None),
        (b'{ "child-pid": x }', b"child-pid", None),
    ],
)
def test_numbers(report: bytes, key: bytes, number: int | None) -> None:
    assert _number(report, key) == number

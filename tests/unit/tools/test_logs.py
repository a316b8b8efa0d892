"""The `logs` tool shows the digest of logs in the workspace, or some of their lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from localagent.core.errors import LocalAgentError, ToolError
from localagent.core.messages import ToolResult
from localagent.tools.base import ToolContext
from localagent.tools.logs import Logs
from localagent.workspace.workspace import Workspace
from tests.doubles.log_files import SameProcess
from tests.doubles.scripted_sandbox import ScriptedSandbox

LINES = [
    *(f"2026-11-28T09:{n:02}:00Z web-1 api: INFO tick" for n in range(60)),
    "2026-11-28T10:00:00Z db-1 kernel: I/O error, dev sdb",
    *(f"2026-11-28T10:03:{n:02}Z web-1 api: ERROR cannot reach db-1: refused" for n in range(40)),
]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("localagent.logs.digest.Child", SameProcess)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "ws" / "logs").mkdir(parents=True)
    (tmp_path / "ws" / "logs" / "app.log").write_text("".join(f"{line}\n" for line in LINES))
    (tmp_path / "ws" / "logs" / ".env").write_text("TOKEN=x\n")
    return tmp_path / "ws"


def _call(root: Path, **arguments: str) -> tuple[ToolResult, list[str]]:
    reads: list[str] = []
    context = ToolContext(
        *(Workspace.open(root), ScriptedSandbox(lambda *_: None), lambda _changes: None),  # type: ignore[arg-type, return-value]
        record_read=lambda path, _digest: reads.append(path),
    )
    return Logs().prepare(arguments, context).perform(), reads


@pytest.mark.parametrize("path", ["logs", "logs/app.log", "logs/app.log logs/app.log"])
def test_the_first_cause_is_shown(root: Path, path: str) -> None:
    result, reads = _call(root, path=path)
    assert "probable first cause\n  2026-11-28 10:00  db-1, kernel" in result.for_model
    assert "logs/app.log:61" in result.for_model
    assert set(reads) == {"logs/app.log"}


def test_a_file_named_like_standard_input_is_read(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "-").write_text(f"{LINES[60]}\n")
    monkeypatch.setattr("sys.stdin", None)
    result, reads = _call(root, path="-")
    assert "./-:1" in result.for_model and reads == ["-"]


def test_lines_of_some_minutes(root: Path) -> None:
    result, _ = _call(root, path="logs/app.log", time="10:00-10:02", pattern="SDB")
    assert result.for_model == f"logs/app.log:61  {LINES[60]}"


@pytest.mark.parametrize(
    "arguments", [{"path": "logs", "time": "noon"}, {"path": "logs", "time": "11:99"}]
)
def test_what_is_wrong_is_said(root: Path, arguments: dict[str, str]) -> None:
    with pytest.raises(ToolError):
        _call(root, **arguments)


def test_files_outside_the_workspace_are_refused(root: Path) -> None:
    with pytest.raises(LocalAgentError, match="outside"):
        _call(root, path="../secret.log")

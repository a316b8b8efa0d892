"""`localagent doctor --airgap`: it fails for each part that is switched off, and names it."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.doctor import airgap
from localagent.guard.egress import Destination, State
from localagent.guard.sandbox.examine import Canary
from localagent.models import lock
from localagent.models.lock import LocalFile, LockFile
from tests.doubles.administrator import under_policy
from tests.doubles.gguf_file import gguf

ROOT = Path(__file__).resolve().parents[2]
MODEL = gguf()
OFFLINE = "offline = true\n"
COMMAND = [sys.executable, "-m", "localagent", "doctor", "--airgap", "--json"]
# The command as a library would call it: nothing locks the process.
UNLOCKED = [
    sys.executable,
    "-c",
    "import sys; from localagent.cli import main; sys.exit(main(sys.argv[1:]))",
    *COMMAND[3:],
]

Examined = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the guarantee is Linux's"),
    pytest.mark.skipif(not importlib.util.find_spec("llama_cpp"), reason="needs llama-cpp-python"),
]


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    path = tmp_path / "toy.gguf"
    path.write_bytes(MODEL)
    values = {
        "id": "toy",
        "file": "toy.gguf",
        "bytes": len(MODEL),
        "sha256": hashlib.sha256(MODEL).hexdigest(),
        "source": (LocalFile(kind="file", path=str(path)),),
    }
    lock.save_user(LockFile(version=1, default="toy", model=(lock.checked(values, "test"),)))
    return path


def failing(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The parts that fail; the exit code says the same."""
    report = json.loads(done.stdout)
    names = [check["name"] for check in report["checks"] if not check["holds"]]
    assert (done.returncode, report["holds"]) == ((1, False) if names else (0, True))
    assert all(check["holds"] or check["mend"] for check in report["checks"])
    return names


@pytest.fixture
def examined(
    workspace_dir: Path, tmp_path: Path, toy: Path, monkeypatch: pytest.MonkeyPatch
) -> Examined:
    """The home and its cache folder lie below /tmp, which sandboxes replace as a whole."""
    monkeypatch.chdir(workspace_dir)

    def start(
        command: list[str] = COMMAND, policy: str = OFFLINE, **env: str
    ) -> subprocess.CompletedProcess[str]:
        folder = tmp_path / "policy"
        return under_policy(policy, folder, command, PYTHONPATH=str(ROOT), **env)

    return start


def test_all_hold_and_a_page_says_so(examined: Examined, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    done = examined([*COMMAND, "--report", str(page)])
    assert failing(done) == [], done.stdout
    text = page.read_text()
    assert "**every part of the guarantee holds.**" in text
    assert "denied; " in text
    assert f"Python {sys.version.split()[0]}" in text
    assert hashlib.sha256(MODEL).hexdigest() in text
    again = examined([*COMMAND, "--report", str(page)])
    assert (again.returncode, again.stdout) == (2, "")
    assert "name a file that is not there yet" in again.stderr


@pytest.mark.parametrize(
    ("part", "policy", "env"),
    [
        ("sandbox", OFFLINE, {"LOCALAGENT_SANDBOX": "none"}),
        ("audit log", OFFLINE, {"LOCALAGENT_AUDIT": "off"}),
        ("fetching", "offline = false\n", {}),
    ],
)
def test_a_part_that_is_switched_off_is_named(
    examined: Examined, part: str, policy: str, env: dict[str, str]
) -> None:
    assert failing(examined(policy=policy, **env)) == [part]


def test_a_process_that_is_not_locked_is_named(examined: Examined) -> None:
    assert failing(examined(UNLOCKED)) == ["process"]


def test_a_model_that_was_changed_is_named(examined: Examined, toy: Path) -> None:
    toy.write_bytes(MODEL[:-1] + b"x")
    assert failing(examined()) == ["model toy"]


def test_an_audit_log_that_was_changed_is_named(examined: Examined, home: Path) -> None:
    folder = home / ".local/share/localagent/audit"
    folder.mkdir(parents=True)
    (folder / "one.jsonl").write_text('{"type": "session"}\n')
    assert failing(examined()) == ["audit log"]


def test_another_machine_as_server_is_named() -> None:
    near = State("namespace", (Destination("127.0.0.1", 11434), Destination("::1", 11434)))
    far = State("namespace", (*near.destinations, Destination("192.0.2.7", 11434)))
    assert airgap.destinations(near).holds
    check = airgap.destinations(far)
    assert not check.holds
    assert "192.0.2.7:11434" in check.found


def test_a_model_process_with_a_network_and_a_canary_that_got_out_are_named() -> None:
    assert airgap.worker("none").holds
    assert not airgap.worker("open").holds
    denied, out = Canary("tcp", "TCP", True, "refused"), Canary("dns", "a name", False, "reached")
    assert airgap.canaries("unshare", [denied]).holds
    check = airgap.canaries("unshare", [denied, out])
    assert not check.holds
    assert "a name (reached)" in check.found
    assert not airgap.canaries("unshare", []).holds

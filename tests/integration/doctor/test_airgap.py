"""`localagent doctor --airgap`: it fails for each part that is switched off, and names it."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.models.catalog import lock
from localagent.sandbox.select import CONFINING
from tests.doubles.administrator import under_policy
from tests.doubles.broken_package import broken

ROOT = Path(__file__).resolve().parents[3]
# One kind, as each kind takes some seconds.
OFFLINE = 'offline = true\nsandboxes = ["unshare"]\n'
COMMAND = [sys.executable, "-m", "localagent", "doctor", "--airgap", "--json"]
# The command as a library would call it: nothing locks the process.
UNLOCKED = [
    sys.executable,
    "-c",
    "import sys; from localagent.cli.main import main; sys.exit(main(sys.argv[1:]))",
    *COMMAND[3:],
]

Examined = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the guarantee is Linux's"),
    pytest.mark.skipif(not importlib.util.find_spec("llama_cpp"), reason="needs llama-cpp-python"),
]


def failing(done: subprocess.CompletedProcess[str]) -> list[str]:
    """The parts that fail; the exit code says the same."""
    report = json.loads(done.stdout)
    checks = [check for check in report["checks"] if not check["holds"]]
    # Root can leave a network namespace, which fails a part of its own.
    names = [check["name"] for check in checks if "you are root" not in check["found"]]
    assert (done.returncode, report["holds"]) == ((1, False) if checks else (0, True))
    assert all(check["holds"] or check["mend"] for check in report["checks"])
    print([check["found"] for check in report["checks"] if not check["holds"]])
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
        return under_policy(policy, folder, command, **{"PYTHONPATH": str(ROOT), **env})

    return start


def canaries_of(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, object]]:
    """The parts on canaries, by kind."""
    checks = json.loads(done.stdout)["checks"]
    named = {check["name"]: check for check in checks}
    return {kind: named[name] for kind in CONFINING if (name := f"canaries {kind}") in named}


def test_all_hold_and_a_page_says_so(examined: Examined, tmp_path: Path, toy: Path) -> None:
    page = tmp_path / "page.md"
    done = examined([*COMMAND, "--report", str(page)])
    assert failing(done) == [], done.stdout
    assert list(canaries_of(done)) == ["unshare"], "the policy allows no other kind"
    text = page.read_text()
    verdict = "NOT every part holds" if os.geteuid() == 0 else "Every part of the guarantee holds"
    assert f"**{verdict}.**" in text
    assert "    denied   TCP to another machine (tcp-out): " in text
    assert f"| Python | CPython {sys.version.split()[0]} |" in text
    assert "| canaries unshare | holds | " in text
    assert hashlib.sha256(toy.read_bytes()).hexdigest() in text
    again = examined([*COMMAND, "--report", str(page)])
    assert (again.returncode, again.stdout) == (2, "")
    assert "name a file that does not exist yet" in again.stderr


@pytest.mark.parametrize(
    ("part", "policy", "env"),
    [
        ("sandbox", OFFLINE, {"LOCALAGENT_SANDBOX": "none"}),
        ("audit log", OFFLINE, {"LOCALAGENT_AUDIT": "off"}),
        ("fetching", OFFLINE.replace("true", "false"), {}),
    ],
)
def test_a_part_that_is_switched_off_is_named(
    examined: Examined, part: str, policy: str, env: dict[str, str]
) -> None:
    assert failing(examined(policy=policy, **env)) == [part]


def test_a_process_that_is_not_locked_is_named(examined: Examined) -> None:
    assert failing(examined(UNLOCKED)) == ["process"]


def test_a_model_that_was_changed_is_named(examined: Examined, toy: Path) -> None:
    data = toy.read_bytes()
    toy.write_bytes(data[:-1] + b"x")
    assert failing(examined()) == ["model toy"]


def test_a_pin_of_another_chat_template_is_named(examined: Examined, toy: Path) -> None:
    path = lock.user_path()
    pinned = lock.load().entry("toy").chat_template_sha256
    path.write_text(path.read_text().replace(pinned, "0" * 64))
    assert failing(examined()) == ["model toy"]


def test_an_audit_log_that_was_changed_is_named(examined: Examined, home: Path) -> None:
    folder = home / ".local/share/localagent/audit"
    folder.mkdir(parents=True)
    (folder / "one.jsonl").write_text('{"type": "session"}\n')
    assert failing(examined()) == ["audit log"]


def test_every_kind_that_can_be_chosen_is_tried(examined: Examined) -> None:
    done = examined(policy="offline = true\n")
    assert failing(done) == []
    tried = canaries_of(done)
    assert tried, "no kind works here"
    assert all(len(check["tried"]) >= 60 for check in tried.values())  # type: ignore[arg-type]
    (sandbox,) = [c for c in json.loads(done.stdout)["checks"] if c["name"] == "sandbox"]
    assert all(kind in sandbox["found"] for kind in (*tried, "switch the sandbox off"))


def test_a_canary_that_gets_out_is_named_with_its_kind(examined: Examined, tmp_path: Path) -> None:
    """A launcher that forgets to take the variables away."""
    place = broken(
        tmp_path, "sandbox/environment.py", "if name.upper() in _PASSED or", "if True or"
    )
    done = examined(policy="offline = true\n", PYTHONPATH=str(place))
    kinds = list(canaries_of(done))
    assert kinds
    # Proxies in the environment are a way to the network, which "seccomp" is to hold as well.
    assert failing(done) == [f"canaries {kind}" for kind in (*kinds, "seccomp")]
    for check in canaries_of(done).values():
        assert "secrets in the environment (" in str(check["found"])
    chosen_only = examined(PYTHONPATH=str(place))
    assert failing(chosen_only) == ["canaries unshare"], "the others cannot be chosen"


def test_a_model_process_with_a_network_is_named(examined: Examined, tmp_path: Path) -> None:
    file = "models/llamacpp/worker/serve.py"
    place = broken(tmp_path, file, "libc.unshare(", "bool(")
    path = place / "localagent" / file
    filtered = "_install(seccomp.model_program())"
    text = path.read_text()
    assert filtered in text
    path.write_text(text.replace(filtered, "False"))
    assert failing(examined(PYTHONPATH=str(place))) == ["model process"]


def test_another_machine_as_server_is_named(examined: Examined, home: Path) -> None:
    """Allowed by the policy, so that it would be dialled; and not, so that it would be refused."""
    (home / ".config/localagent").mkdir(parents=True, exist_ok=True)
    config = home / ".config/localagent/config.toml"
    config.write_text('ollama_host = "http://192.0.2.7:11434"\n')
    refused = examined()
    assert failing(refused) == ["destinations"]
    path = lock.user_path()
    served = f'[[model]]\nid = "far"\nbackend = "ollama"\nname = "far:1b"\ndigest = "{"0" * 64}"\n'
    path.write_text(path.read_text() + served)
    allowed = examined(policy=OFFLINE + 'allowed_hosts = ["192.0.2.7"]\n')
    assert failing(allowed) == ["destinations"]
    (check,) = [c for c in json.loads(allowed.stdout)["checks"] if c["name"] == "destinations"]
    assert check["found"] == "localagent may connect to another machine: 192.0.2.7:11434"


def test_a_port_that_commands_may_reach_is_told(examined: Examined) -> None:
    done = examined(LOCALAGENT_SANDBOX_PORTS="54321")
    (check,) = [c for c in json.loads(done.stdout)["checks"] if c["name"] == "destinations"]
    assert "commands may connect to ports 54321 of this machine" in check["found"]

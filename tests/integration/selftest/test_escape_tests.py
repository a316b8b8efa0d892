"""The escape tests in every kind of sandbox, as root and as an ordinary user.

They lie in localagent/selftest/escape_tests/. The same tests without a sandbox are the control: a
test that gets through there is a real attempt.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

if sys.platform != "linux":
    pytest.skip("the canaries are for Linux", allow_module_level=True)

from localagent.core.errors import SandboxError
from localagent.sandbox.select import CONFINING
from localagent.selftest import escape_tests, runner, targets
from localagent.selftest.runner import EscapeResult, run_escape_tests

pytestmark = pytest.mark.sandbox

NOBODY = 65534
# Real without a sandbox too, but not everywhere: they take root, a part of the kernel or of the
# machine, or reach outwards and are left out.
_FEWEST_REAL = 80
_ALWAYS_REAL = {
    *("tcp", "fast-open", "udp", "unix", "unix-datagram", "unix-pair", "unix-tmp"),
    *("unix-link", "unix-proc", "abstract", "docker", "ssh-agent", "dbus", "environ"),
    *("agent-environ", "parents-environ", "proc-root", "proc-cwd", "proc-fd", "proc-mem"),
    *("ptrace", "vm-read", "signal", "thread-signal", "queued-signal", "pidfd-signal"),
    *("io-signal", "pidfd-getfd", "limits", "priority", "affinity", "oom", "bashrc"),
    *("authorized-keys", "home-file", "real-file", "git-hook", "git-config", "journal"),
    *("journal-read", "settings", "outside", "dots", "link-out", "new-link", "hard-link"),
    *("reopen", "move-in", "exchange", "delete", "truncate", "mode", "mode-by-descriptor"),
    *("mode-by-link", "mode-by-folder", "secret-mode", "owner", "times", "times-by-descriptor"),
    *("allocate", "fifo", "socket-file", "ssh-key", "ssh-key-by-link", "ssh-key-by-folder"),
    *("aws", "gpg", "kube", "netrc", "npm", "git-credentials", "history", "browser"),
    *("program-settings", "tmp", "tmp-write", "var-tmp", "shm", "shm-write", "sysv"),
    *("set-user-id", "home-folder", "home-link", "state-file", "unix-workspace"),
    *("unix-workspace-datagram", "abstract-datagram", "unix-relative", "pipe"),
    *("unix-relative-datagram", "file-flags"),
}


@pytest.fixture(scope="module")
def base() -> Iterator[Path]:
    """A folder that is not below /tmp, which sandboxes hide as a whole."""
    places = [Path("/var/cache"), Path.home(), Path(__file__).parent]
    place = next(path for path in places if os.access(path, os.W_OK))
    folder = Path(tempfile.mkdtemp(prefix="la-", dir=place))
    yield folder
    shutil.rmtree(folder)


@cache
def _results(kind: str, base: Path) -> dict[str, EscapeResult] | str:
    try:
        return {result.name: result for result in run_escape_tests(kind, base)}
    except SandboxError as error:
        return error.message


@pytest.mark.parametrize("kind", CONFINING)
def test_every_escape_test_is_denied(kind: str, base: Path) -> None:
    results = _results(kind, base)
    if isinstance(results, str):
        pytest.skip(results)
    run = {*escape_tests.load(), *runner.LIMIT_TESTS}
    assert results.keys() == run
    assert [result for result in results.values() if not result.denied] == []
    # The user reads which limit ended a command.
    assert "128 MiB of memory" in results["memory-hogs"].detail or "96 MiB of memory" in (
        results["memory-hogs"].detail
    )
    assert "16 MiB to the disk" in results["disk-filler"].detail


@pytest.mark.parametrize("kind", CONFINING)
def test_a_folder_whose_path_no_socket_can_have(kind: str, base: Path) -> None:
    """A socket's path has at most 107 bytes, and a user's home may be longer."""
    long = base / ("long" * 25)
    long.mkdir(exist_ok=True)
    results = _results(kind, long)
    if isinstance(results, str):
        assert "too long" not in results
        pytest.skip(results)
    assert [result for result in results.values() if not result.denied] == []


def test_seccomp_alone_holds_the_network(base: Path) -> None:
    results = _results("seccomp", base)
    assert not isinstance(results, str), results
    held = [result for result in results.values() if result.topic in runner.HELD["seccomp"]]
    assert len(held) > 50
    assert [result for result in held if not result.denied] == []


def test_the_escape_tests_are_real_attempts(base: Path) -> None:
    results = _results("none", base)
    assert not isinstance(results, str), results
    real = {name for name, canary in results.items() if not canary.denied}
    assert real >= _ALWAYS_REAL
    assert len(real) >= _FEWEST_REAL and len(escape_tests.load()) >= 60


@pytest.mark.parametrize("kind", ["landlock", "seccomp"])
def test_they_run_within_the_lock_of_a_machine_without_namespaces(kind: str, base: Path) -> None:
    """There localagent's own process, which runs the tests, can make unix sockets only."""
    code = (
        "import sys; from pathlib import Path\n"
        "from localagent.egress.kernel_lock import restrict\n"
        "from localagent.selftest.runner import HELD, run_escape_tests\n"
        "restrict()\n"
        f"rows = run_escape_tests({kind!r}, Path(sys.argv[1]))\n"
        f"held = HELD.get({kind!r})\n"
        "out = [row.name for row in rows if not row.denied and (not held or row.topic in held)]\n"
        "print(len(rows), out)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(base)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == f"{len({*escape_tests.load(), *runner.LIMIT_TESTS})} []\n"


def test_in_a_container_without_namespaces_and_privileges(base: Path) -> None:
    """Landlock is what works there: as root without a capability, and no namespace to be had."""
    code = (
        "import sys; from pathlib import Path\n"
        "from localagent.selftest.runner import run_escape_tests\n"
        "from localagent.sandbox.select import choose\n"
        "kind = choose().sandbox.kind\n"
        "rows = run_escape_tests(kind, Path(sys.argv[1])) if kind == 'landlock' else []\n"
        "print(kind, len(rows), [row.name for row in rows if not row.denied])"
    )
    inside = "echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --bounding-set=-all "
    inside += '--inh-caps=-all --no-new-privs "$@"'
    done = subprocess.run(
        ["unshare", "-U", "-r", "sh", "-c", inside, "sh", sys.executable, "-c", code, str(base)],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[3])},
        capture_output=True,
        text=True,
    )
    if "unshare:" in done.stderr or "setpriv:" in done.stderr:
        pytest.skip(done.stderr)
    if done.stdout.startswith(("none", "seccomp")):
        pytest.skip("this kernel has no Landlock")
    assert done.stdout == f"landlock {len(escape_tests.load()) + len(runner.LIMIT_TESTS)} []\n", (
        done.stderr
    )


def test_nothing_is_left_behind(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by a trial that ended, and not for long by one that was killed."""
    marker = targets.new_marker()
    monkeypatch.setattr(targets, "new_marker", lambda: marker)
    left = Path("/tmp", f"{targets._MARKER}{marker[::-1]}-secret")  # an earlier trial's
    left.touch()
    os.utime(left, (1, 1))
    run_escape_tests("none", base)
    places = (Path(folder) for folder in ("/tmp", "/var/tmp", "/dev/shm"))
    assert not left.exists()
    assert not [path for place in places for path in place.glob(f"{marker}*")]


def test_as_an_ordinary_user(base: Path) -> None:
    """The tests once more as a user for whom the kernel's rules are others."""
    from tests.integration.sandbox.test_as_user import PATH, usable_python

    setpriv = shutil.which("setpriv")
    if os.getuid() != 0 or setpriv is None:
        pytest.skip("needs root and setpriv, to become somebody else")
    user = [setpriv, f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    python = usable_python(user)
    if python is None:
        pytest.skip("no interpreter that other users can run has pytest and hypothesis")
    home = tempfile.mkdtemp(prefix="la-", dir="/var/cache")
    os.chown(home, NOBODY, NOBODY)
    environment = {"PATH": os.environ["PATH"], "HOME": home, "PYTHONPATH": PATH, "LANG": "C.UTF-8"}
    arguments = ["-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"]
    arguments += ["--import-mode=importlib", "-k", "every_escape_test or real_attempts"]
    try:
        done = subprocess.run(
            [*user, python, "-B", *arguments, f"--basetemp={home}/t", __file__],
            env=environment,
            cwd=Path(__file__).resolve().parents[3],
            capture_output=True,
            text=True,
            timeout=300,
        )
    finally:
        shutil.rmtree(home, ignore_errors=True)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    skipped = [line for line in done.stdout.splitlines() if "could not be tested" in line]
    here = [kind for kind in CONFINING if isinstance(_results(kind, base), str)]
    assert len(skipped) <= len(here), skipped

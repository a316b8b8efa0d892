"""Choose a sandbox: the strictest kind that really confines a test command on this machine.

The probe takes about a tenth of a second, so the state folder keeps its result. The result is valid
until the machine restarts, which may change the kernel's settings, or until localagent changes.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from localagent import __version__
from localagent.core import paths
from localagent.core.atomic import write_atomic
from localagent.core.errors import SandboxError, UsageError
from localagent.core.programs import find_program
from localagent.egress import lock
from localagent.sandbox.base import Command, Sandbox
from localagent.sandbox.kinds.plain import OfflineSandbox, PlainSandbox
from localagent.sandbox.snapshots.scratch import bases

_END = "canary-is-well"
# A test write to a path outside the workspace may land in a private /tmp, so the probe checks the
# real folder afterwards.
_SCRIPT = """
echo changed > file || echo 'the workspace cannot be written'
(echo x > "$OUTSIDE") 2>/dev/null
"$PYTHON" -I -S "$ESCAPE_TESTS" quick "$AGENT" "$NETWORK" "$SOCKET" || echo 'python does not run'
echo canary-is-well
"""


def probe(sandbox: Sandbox) -> str:
    """Return the reason why `sandbox` does not work on this machine, or "" if it works."""
    base = paths.private(paths.cache_dir() / "probe")
    with tempfile.TemporaryDirectory(dir=base) as name:
        workspace, outside = Path(name, "workspace"), Path(name, "outside")
        workspace.mkdir()
        (workspace / "file").write_text("kept\n")
        os.mknod(socket := Path(name, "socket"), stat.S_IFSOCK | 0o600)
        # A kind that confines no files is tested for the network only.
        env = {
            "OUTSIDE": str(outside) if sandbox.confined else os.devnull,
            "AGENT": str(os.getpid() if sandbox.confined else 0),
            "PYTHON": sys.executable,
            "ESCAPE_TESTS": str(Path(__file__).parents[1] / "selftest/escape_tests/run.py"),
            "SOCKET": str(socket),
            "NETWORK": os.readlink("/proc/self/ns/net"),  # noqa: PTH115
        }
        try:
            with sandbox.open(workspace) as snapshot:
                result = snapshot.run(Command(_SCRIPT, seconds=20.0, env=env))
                changes = snapshot.changes()
        except SandboxError as error:
            return error.message.removeprefix("the sandbox could not run the command: ")
        if result.output.strip() != _END or result.exit_code:
            return result.output.strip().removesuffix(_END).strip() or "a test command failed"
        if outside.exists() or (workspace / "file").read_text() != "kept\n":
            return "a test command changed files outside its snapshot"
        if [(change.path, change.data) for change in changes] != [("file", b"changed\n")]:
            return "the changes of a test command could not be read"
    with suppress(OSError):
        base.rmdir()
    return ""


KINDS = ("unshare", "bubblewrap", "landlock", "seccomp", "none")
"""All kinds of sandboxes, the strictest first."""

CONFINING = KINDS[:3]
"""The kinds of sandboxes that confine commands."""

_RETRY_SECONDS = 900.0  # the time until a kind that failed its probe is probed again
REQUIREMENTS = {
    "unshare": "it needs Linux 5.12, and root or user namespaces",
    "bubblewrap": "install the package bubblewrap, which needs user namespaces",
    "landlock": "it needs Linux 5.13 with Landlock, on x86-64 or 64-bit ARM",
    "seccomp": "it needs Linux, on x86-64 or 64-bit ARM",
}
"""What each kind needs to work."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A sandbox, and the reason why no stricter kind was chosen ("" for the strictest kind)."""

    sandbox: Sandbox
    reason: str = ""


def choose(
    kind: str | None = None, allowed: Sequence[str] = (), ports: Sequence[int] = ()
) -> Choice:
    """Return a sandbox of `kind`; for None and "auto", the strictest kind that works here.

    A policy may limit the choice to `allowed` kinds. Commands may connect to `ports` of this
    machine. Raises UsageError for an unknown kind, and SandboxError if `kind` does not work.
    """
    if kind == "auto":
        kind = None
    if kind is not None and kind not in KINDS:
        raise UsageError(f"unknown sandbox kind {kind!r}", f"one of: auto, {', '.join(KINDS)}")
    if kind == "none":
        return Choice(PlainSandbox(), "the setting sandbox is none")
    probes = ProbeCache.read()
    reasons: list[str] = []
    best = [each for each in CONFINING if each in allowed] or list(CONFINING)
    for each in best if kind is None else [kind]:
        base, reason = probes.base(each, retry=kind is not None)
        if base is not None:
            open_kind = f"the setting sandbox is {kind}" if kind == "seccomp" else ""
            return Choice(make(each, base, ports), "; ".join(reasons) or open_kind)
        if kind is not None:
            hint = f"{REQUIREMENTS[kind]}; localagent docs sandbox says more"
            raise SandboxError(f"the sandbox {kind} does not work here: {reason}", hint)
        reasons.append(f"{each}: {reason}")
    return _choose_unconfined(reasons, probes)


def _choose_unconfined(reasons: list[str], probes: ProbeCache) -> Choice:
    """Return a sandbox without network, or one that confines nothing; localagent asks in both."""
    base, reason = probes.base("seccomp", retry=False)
    text = "; ".join(dict.fromkeys(reasons))
    if base is not None:
        return Choice(OfflineSandbox(base), text)
    return Choice(PlainSandbox(), f"{text}; seccomp: {reason}")


def make(kind: str, base: Path | None = None, ports: Sequence[int] = ()) -> Sandbox:
    """Return a sandbox of `kind` without a probe.

    `base` is the folder for its scratch folders. Commands may connect to `ports` of this machine.
    """
    if kind == "unshare":
        from localagent.sandbox.kinds.unshare import UnshareSandbox

        return UnshareSandbox(base, ports)
    if kind == "bubblewrap":
        from localagent.sandbox.kinds.bubblewrap import BubblewrapSandbox

        return BubblewrapSandbox(base, ports)
    if kind == "landlock":
        from localagent.sandbox.kinds.landlock import LandlockSandbox

        return LandlockSandbox(base, ports)
    return OfflineSandbox(base) if kind == "seccomp" else PlainSandbox(base)


class ProbeCache:
    """Results of the probe for each kind: a scratch base with which the kind works, or an error.

    The file of results lies in the state folder. A success is valid until the machine restarts. A
    failure is valid for a while, since the user may repair its cause. If the user names the kind, a
    failure is not used.
    """

    def __init__(self, results: dict[str, tuple[str, str, float]]) -> None:
        self._results = results

    @classmethod
    def read(cls) -> ProbeCache:
        """Read the results that are still valid."""
        try:
            data = json.loads(_record().read_text())
            if data["key"] == _key():
                rows = data["kinds"].items()
                return cls({k: (str(b), str(r), float(t)) for k, (b, r, t) in rows if k in KINDS})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass
        return cls({})

    def base(self, kind: str, *, retry: bool) -> tuple[Path | None, str]:
        """Return the scratch base with which `kind` works, or the reason why no base works.

        `retry` probes again after a failure.
        """
        if sys.platform != "linux":
            return None, "it needs Linux"
        base, reason, when = self._results.get(kind, ("", "", 0.0))
        if base:
            return Path(base), ""
        if reason and not retry and 0 <= time.time() - when < _RETRY_SECONDS:
            return None, reason
        works, reason = _probe(kind)
        self._results[kind] = (str(works or ""), reason, time.time())
        self._keep()
        return works, reason

    def _keep(self) -> None:
        with suppress(OSError):
            record = paths.private(_record().parent) / _record().name
            write_atomic(record, json.dumps({"key": _key(), "kinds": self._results}))


def _probe(kind: str) -> tuple[Path | None, str]:
    first = ""
    for base in bases():
        try:
            sandbox = make(kind, base)
        except SandboxError as error:
            return None, error.message
        try:
            reason = probe(sandbox)
        except (OSError, SandboxError) as error:
            reason = str(error)
        finally:
            sandbox.close()
        if not reason:
            return base, ""
        first = first or reason
        if kind != "unshare":
            break  # copies work on every file system
    return None, first


def _record() -> Path:
    return paths.state_dir() / "sandbox.json"


def _key() -> str:
    """Return a digest of everything that a result depends on: boot, code, user and folders."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    user = [os.geteuid(), str(paths.cache_dir()), sys.executable, find_program("bwrap")]
    # The egress lock makes a new user namespace for each process, so the outer one identifies the
    # user.
    users = lock.state().outside.user_namespace or os.readlink("/proc/self/ns/user")  # noqa: PTH115
    namespaces = [users, os.readlink("/proc/self/ns/mnt")]  # noqa: PTH115
    text = json.dumps([boot, __version__, user, namespaces, _code_stamp()])
    return hashlib.sha256(text.encode()).hexdigest()


def _code_stamp() -> list[int]:
    folder = Path(__file__).parent
    folders = (folder / "launcher", folder / "kinds", folder.parent / "linux")
    files = (file for each in folders for file in sorted(each.glob("*.py")))
    return [file.stat().st_mtime_ns for file in files]

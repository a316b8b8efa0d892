"""Choosing a sandbox: the first that really confines a test command on this machine.

The probe takes about a tenth of a second, so what it found is kept in the state folder: settings
of the kernel can change at a restart, and so can localagent.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
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
from localagent.egress import lock
from localagent.sandbox.base import Command, Sandbox
from localagent.sandbox.kinds.plain import PlainSandbox
from localagent.sandbox.views.scratch import bases

_SEEN = "canary-is-well"
# Whether the write outside reached the real folder is looked up afterwards: it may go into the
# private /tmp.
_SCRIPT = """
echo changed > file || echo 'the workspace cannot be written'
(echo x > "$OUTSIDE") 2>/dev/null
"$PYTHON" -I -S "$ATTEMPTS" quick "$AGENT" "$NETWORK" "$SOCKET" || echo 'python does not run'
echo canary-is-well
"""


def probe(sandbox: Sandbox) -> str:
    """Why `sandbox` does not work here, or "" where it does."""
    base = paths.private(paths.cache_dir() / "probe")
    with tempfile.TemporaryDirectory(dir=base) as name:
        workspace, outside = Path(name, "workspace"), Path(name, "outside")
        workspace.mkdir()
        (workspace / "file").write_text("kept\n")
        os.mknod(place := Path(name, "socket"), stat.S_IFSOCK | 0o600)
        env = {
            "OUTSIDE": str(outside),
            "AGENT": str(os.getpid()),
            "PYTHON": sys.executable,
            "ATTEMPTS": str(Path(__file__).parents[1] / "selftest" / "attempts" / "run.py"),
            "SOCKET": str(place),
            "NETWORK": os.readlink("/proc/self/ns/net"),  # noqa: PTH115
        }
        try:
            with sandbox.open(workspace) as view:
                done = view.run(Command(_SCRIPT, seconds=20.0, env=env))
                changes = view.changes()
        except SandboxError as error:
            return error.message.removeprefix("the sandbox could not run the command: ")
        if done.output.strip() != _SEEN or done.exit_code:
            return done.output.strip().removesuffix(_SEEN).strip() or "a test command failed"
        if outside.exists() or (workspace / "file").read_text() != "kept\n":
            return "a test command changed files outside its view"
        if [(change.path, change.data) for change in changes] != [("file", b"changed\n")]:
            return "the changes of a test command could not be read"
    with suppress(OSError):
        base.rmdir()
    return ""


KINDS = ("unshare", "bubblewrap", "landlock", "none")
"""All kinds, the one that keeps commands furthest away first."""

CONFINING = KINDS[:-1]
"""Those that keep commands from anything at all."""

_RETRY_SECONDS = 900.0  # until a kind that failed is tried again
MENDS = {
    "unshare": "it needs Linux 5.12 and user namespaces, or root",
    "bubblewrap": "install the package bubblewrap; it needs user namespaces",
    "landlock": "it needs Linux 6.12 with Landlock, on x86-64 or 64-bit ARM",
}
"""What each kind needs."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A sandbox, and why it is not a better one ("" where there is none better)."""

    sandbox: Sandbox
    reason: str = ""


def choose(
    kind: str | None = None, allowed: Sequence[str] = (), ports: Sequence[int] = ()
) -> Choice:
    """The sandbox `kind`, or the best that works here (None or "auto"); of those `allowed`, where
    a policy names any. Its commands may connect to `ports` of this machine.

    Raises UsageError for an unknown kind, and SandboxError where the one asked for does not work.
    """
    if kind == "auto":
        kind = None
    if kind is not None and kind not in KINDS:
        raise UsageError(f"there is no sandbox kind {kind!r}", f"one of: auto, {', '.join(KINDS)}")
    if kind == "none":
        return Choice(PlainSandbox(), "it was asked for")
    tried = Tried.read()
    reasons: list[str] = []
    best = [each for each in CONFINING if each in allowed] or list(CONFINING)
    for each in best if kind is None else [kind]:
        base, reason = tried.base(each, again=kind is not None)
        if base is not None:
            return Choice(make(each, base, ports), "; ".join(reasons))
        if kind is not None:
            mend = f"{MENDS[kind]}; localagent docs sandbox says more"
            raise SandboxError(f"the sandbox {kind} does not work here: {reason}", mend)
        reasons.append(f"{each}: {reason}")
    return Choice(PlainSandbox(), "; ".join(dict.fromkeys(reasons)))


def make(kind: str, base: Path | None = None, ports: Sequence[int] = ()) -> Sandbox:
    """A sandbox of the kind, untried; `base` is where its scratch folders lie, `ports` are those
    of this machine that commands may connect to."""
    if kind == "unshare":
        from localagent.sandbox.kinds.unshare import UnshareSandbox

        return UnshareSandbox(base, ports)
    if kind == "bubblewrap":
        from localagent.sandbox.kinds.bubblewrap import BubblewrapSandbox

        return BubblewrapSandbox(base, ports)
    if kind == "landlock":
        from localagent.sandbox.kinds.landlock import LandlockSandbox

        return LandlockSandbox(base, ports)
    return PlainSandbox(base)


class Tried:
    """What the probe found for each kind: the scratch base with which it works, or why none does.

    Kept in the state folder. What worked is believed as long as the machine is up; a failure may be
    cured before, so it is believed for a while, and not at all where the kind was asked for.
    """

    def __init__(self, found: dict[str, tuple[str, str, float]]) -> None:
        self._found = found

    @classmethod
    def read(cls) -> Tried:
        """What is kept, where it still holds."""
        try:
            data = json.loads(_record().read_text())
            if data["key"] == _key():
                rows = data["kinds"].items()
                return cls({k: (str(b), str(r), float(t)) for k, (b, r, t) in rows if k in KINDS})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            pass
        return cls({})

    def base(self, kind: str, *, again: bool) -> tuple[Path | None, str]:
        """The scratch base with which `kind` works, or why there is none; `again`: a failure that
        is kept does not count."""
        if sys.platform != "linux":
            return None, "it needs Linux"
        base, reason, when = self._found.get(kind, ("", "", 0.0))
        if base:
            return Path(base), ""
        if reason and not again and 0 <= time.time() - when < _RETRY_SECONDS:
            return None, reason
        works, reason = _probe(kind)
        self._found[kind] = (str(works or ""), reason, time.time())
        self._keep()
        return works, reason

    def _keep(self) -> None:
        with suppress(OSError):
            record = paths.private(_record().parent) / _record().name
            write_atomic(record, json.dumps({"key": _key(), "kinds": self._found}))


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
            break  # copies need nothing of a file system
    return None, first


def _record() -> Path:
    return paths.state_dir() / "sandbox.json"


def _key() -> str:
    """What the result of the probe depends on: the boot, the code, the user and the folders."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    user = [os.geteuid(), str(paths.cache_dir()), sys.executable, shutil.which("bwrap")]
    # The egress lock makes a user namespace for each process; what counts is where it came from.
    users = lock.state().outside.user_namespace or os.readlink("/proc/self/ns/user")  # noqa: PTH115
    namespaces = [users, os.readlink("/proc/self/ns/mnt")]  # noqa: PTH115
    text = json.dumps([boot, __version__, user, namespaces, _code_stamp()])
    return hashlib.sha256(text.encode()).hexdigest()


def _code_stamp() -> list[int]:
    folder = Path(__file__).parent
    names = (
        "launcher/main.py",
        "launcher/run.py",
        "kernel/namespaces.py",
        "kernel/landlock.py",
        "kinds/bubblewrap.py",
    )
    return [(folder / name).stat().st_mtime_ns for name in names]

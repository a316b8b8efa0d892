"""Choosing a sandbox: the first that really confines a test command on this machine.

The probe takes about a tenth of a second, so its result is kept in the state folder for as long
as the machine is up: settings of the kernel can change at a restart, and so can localagent.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from localagent import __version__, paths
from localagent.errors import SandboxError, UsageError
from localagent.guard import egress
from localagent.guard.sandbox.base import Sandbox
from localagent.guard.sandbox.canary import probe
from localagent.guard.sandbox.plain import PlainSandbox
from localagent.guard.sandbox.scratch import bases

KINDS = ("unshare", "none")


@dataclass(frozen=True, slots=True)
class Choice:
    """A sandbox, and why it is not a better one ("" where there is none better)."""

    sandbox: Sandbox
    reason: str = ""


def choose(kind: str | None = None) -> Choice:
    """The sandbox `kind`, or the best that works here.

    Raises UsageError for an unknown kind, and SandboxError where the one asked for does not work.
    """
    if kind is not None and kind not in KINDS:
        raise UsageError(f"there is no sandbox kind {kind!r}", f"one of: {', '.join(KINDS)}")
    if kind == "none":
        return Choice(PlainSandbox(), "it was asked for")
    base, reason = _unshare_base()
    if base is not None:
        from localagent.guard.sandbox.unshare import UnshareSandbox

        return Choice(UnshareSandbox(base))
    if kind == "unshare":
        raise SandboxError(f"the sandbox does not work here: {reason}", _HINT)
    return Choice(PlainSandbox(), reason)


def make(kind: str, base: Path | None = None) -> Sandbox:
    """A sandbox of the kind, untried; `base` is where its scratch folders lie."""
    if kind == "unshare":
        from localagent.guard.sandbox.unshare import UnshareSandbox

        return UnshareSandbox(base)
    return PlainSandbox(base)


_HINT = "localagent/docs/sandbox.md says what it needs and what to do"


def _unshare_base() -> tuple[Path | None, str]:
    """The scratch base with which the sandbox "unshare" works, or why there is none."""
    if sys.platform != "linux":
        return None, "it needs Linux"
    kept = _kept()
    if kept is not None:
        return kept
    found = _probe_bases()
    _keep(*found)
    return found


def _probe_bases() -> tuple[Path | None, str]:
    from localagent.guard.sandbox.unshare import UnshareSandbox

    first = ""
    for base in bases():
        sandbox = UnshareSandbox(base)
        try:
            reason = probe(sandbox)
        except (OSError, SandboxError) as error:
            reason = str(error)
        finally:
            sandbox.close()
        if not reason:
            return base, ""
        first = first or reason
    return None, first


def _record() -> Path:
    return paths.state_dir() / "sandbox.json"


def _key() -> str:
    """What the result of the probe depends on: the boot, the code, the user and the folders."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    user = [os.geteuid(), str(paths.cache_dir()), sys.executable]
    # The egress lock makes a user namespace for each process; what counts is where it came from.
    users = egress.state().outside.user_namespace or os.readlink("/proc/self/ns/user")  # noqa: PTH115
    namespaces = [users, os.readlink("/proc/self/ns/mnt")]  # noqa: PTH115
    text = json.dumps([boot, __version__, user, namespaces, _code_stamp()])
    return hashlib.sha256(text.encode()).hexdigest()


def _code_stamp() -> list[int]:
    folder = Path(__file__).parent
    return [(folder / name).stat().st_mtime_ns for name in ("launcher.py", "namespace.py")]


def _kept() -> tuple[Path | None, str] | None:
    try:
        data = json.loads(_record().read_text())
        if data["key"] == _key():
            return (Path(data["base"]) if data["base"] else None), str(data["reason"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _keep(base: Path | None, reason: str) -> None:
    # Only success is kept: a failure may be cured while the machine is up.
    if base is None:
        return
    with suppress(OSError):
        data = {"key": _key(), "base": str(base), "reason": reason}
        record = paths.private(_record().parent) / "sandbox.json"
        beside = record.with_name(f"sandbox.{os.getpid()}")
        beside.write_text(json.dumps(data))
        beside.replace(record)

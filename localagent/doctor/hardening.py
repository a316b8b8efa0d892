"""The doctor's part on hardened systems: settings that stop localagent, and their remedies.

The settings are those of the STIG for RHEL 8 and 9, of fapolicyd, SELinux, FIPS mode and
containers. Everything is read from `root`, so that tests can lay out a system in a folder.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from localagent.core.paths import cache_dir, data_dir
from localagent.doctor.report import DoctorProblem, Section
from localagent.linux import procfs

_CONTAINERS = {
    "/run/.containerenv": "podman",
    "/.dockerenv": "Docker",
    "/run/systemd/container": "systemd-nspawn or another container",
}
_NO_NAMESPACES = (
    ("user/max_user_namespaces", "user.max_user_namespaces"),
    ("kernel/unprivileged_userns_clone", "kernel.unprivileged_userns_clone"),
)
_FAPOLICYD = ("fapolicyd.pid", "fapolicyd/fapolicyd.fifo")
_TRUST = "fapolicyd-cli --file add {prefix} && fapolicyd-cli --update"


def hardening_part(root: Path = Path("/")) -> Section:
    """The part on hardening; it has no lines on systems other than Linux."""
    if sys.platform != "linux":
        return Section("hardening")
    lines: list[str] = []
    problems: list[DoctorProblem] = []
    data: dict[str, object] = {}
    for name, value, line, problem in _findings(root):
        data[name] = value
        lines.append(line)
        problems += [problem] if problem else []
    return Section("hardening", tuple(lines) or ("nothing found",), tuple(problems), data)


_Finding = tuple[str, object, str, DoctorProblem | None]


def _findings(root: Path) -> Iterator[_Finding]:
    yield from _namespaces(root)
    yield from _ptrace(root)
    yield from _fapolicyd(root)
    yield from _noexec(root)
    yield from _selinux(root)
    if _text(root / "proc/sys/crypto/fips_enabled") == "1":
        line = "FIPS mode is on: localagent uses only SHA-2 for what counts"
        yield "fips", True, line, None
    if name := _container(root):
        yield "container", name, f"this is a container ({name}): it may forbid namespaces", None


def _namespaces(root: Path) -> Iterator[_Finding]:
    for file, key in _NO_NAMESPACES:
        if _text(root / "proc/sys" / file) == "0":
            what = f"{key} is 0, so the kinds unshare and bubblewrap cannot work"
            hint = (
                "nothing needs to be set: localagent locks itself by seccomp, and commands use "
                f"landlock or seccomp; only unshare and bubblewrap need a larger {key}"
            )
            yield key, 0, f"{key} = 0 (a STIG sets this)", DoctorProblem(what, hint, fatal=False)


def _container(root: Path) -> str:
    """The kind of container, or "". A read-only root of podman has only the variable."""
    for file, name in _CONTAINERS.items():
        if (root / file.lstrip("/")).exists():
            return name
    variables = _text(root / "proc/self/environ").split("\0")
    return next((each[10:] for each in variables if each.startswith("container=")), "")


def _ptrace(root: Path) -> Iterator[_Finding]:
    if _text(root / "proc/sys/kernel/yama/ptrace_scope") == "0":
        what = "kernel.yama.ptrace_scope is 0: your programs can control each other"
        hint = "sysctl kernel.yama.ptrace_scope=1"
        line = "kernel.yama.ptrace_scope = 0"
        yield "ptrace_scope", 0, line, DoctorProblem(what, hint, fatal=False)


def _fapolicyd(root: Path) -> Iterator[_Finding]:
    if not any((root / "run" / name).exists() for name in _FAPOLICYD):
        return
    prefix = Path(sys.prefix)
    line = "fapolicyd runs: it denies programs and libraries that its trust database lacks"
    hint = f"install into /opt as root, or trust this installation: {_TRUST.format(prefix=prefix)}"
    problem = None
    if prefix.is_relative_to(Path.home()):
        what = f"fapolicyd may deny localagent's libraries, which lie in a home: {prefix}"
        problem = DoctorProblem(what, hint, fatal=False)
    yield "fapolicyd", True, line, problem


def _noexec(root: Path) -> Iterator[_Finding]:
    """Find mounts without programs among the folders that localagent and commands run from."""
    mounts = procfs.mount_options(str(root / "proc/self/mountinfo"))
    places = {
        "localagent's own libraries": Path(sys.prefix),
        "the models": data_dir(),
        "the scratch folders of commands": cache_dir(),
        "/tmp": Path("/tmp"),
    }
    denied = [(what, path) for what, path in places.items() if "noexec" in _options(mounts, path)]
    for what, path in denied:
        problem = None
        if what == "localagent's own libraries":
            text = f"{path} is mounted noexec, so the model's library cannot be loaded"
            problem = DoctorProblem(text, "install into /opt, which allows programs")
        elif what == "the scratch folders of commands":
            text = f"{path} is mounted noexec, so commands cannot start programs that they build"
            hint = "name a folder that allows programs with XDG_CACHE_HOME"
            problem = DoctorProblem(text, hint, fatal=False)
        yield f"noexec {path}", True, f"noexec: {path} ({what})", problem


def _options(mounts: dict[str, tuple[str, ...]], path: Path) -> tuple[str, ...]:
    """The options of the mount on which a path lies."""
    real = Path(os.path.realpath(path))
    above = (str(folder) for folder in (real, *real.parents))
    return next((mounts[folder] for folder in above if folder in mounts), ())


def _selinux(root: Path) -> Iterator[_Finding]:
    mode = {"1": "enforcing", "0": "permissive"}.get(_text(root / "sys/fs/selinux/enforce"))
    if mode is not None:
        context = _text(root / "proc/self/attr/current").rstrip("\0") or "no context"
        yield "selinux", mode, f"SELinux is {mode}, and this process runs as {context}", None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""

# ruff: noqa: PTH102, PTH103, PTH110, PTH118, PTH120, PTH123, PTH211
# (a quick start counts here, and pathlib is slow to import)
"""What a confined command sees: namespaces, mounts and privileges.

Runs in the launcher (see there), so it uses the standard library alone. `enter` is called before
the fork of process 1, everything else by process 1 itself. Errors are OSError.

The plan of `build`: an overlay of the workspace is mounted aside; copies of the mounts that are
to stay writable or visible are taken as descriptors; everything is made read-only, without
devices or set-user-id programs; then /tmp, /dev, the hidden folders, the kept ones and last the
workspace are put in their places.
"""

from __future__ import annotations

import os
from typing import Any

from localagent.linux import syscalls as sys_
from localagent.sandbox.views.apply import put

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_DEVICE_LINKS = (
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
)
# CHOWN, DAC_OVERRIDE, FOWNER, FSETID: what root is used to be able to do with files.
_FILE_CAPABILITIES = (0, 1, 3, 4)
_NO_PRIVILEGES = sys_.ATTR_NOSUID | sys_.ATTR_NODEV
_LOCKED_DOWN = _NO_PRIVILEGES | sys_.ATTR_RDONLY
_KERNEL_WITH_OWN_PID_MAX = (6, 14)
_SMALLEST_PID_MAX = 310  # the kernel wants 301 or more

Job = dict[str, Any]


def enter() -> None:
    """Leave the namespaces of the machine; the next child is process 1 of new ones.

    The launcher keeps the machine's mounts: it watches by /proc and by the scratch folder, which
    `build` covers.

    A user namespace is used wherever there can be one, also by root: what is root in it has no
    power outside. Root alone can do without.
    """
    flags = (
        sys_.CLONE_NEWPID
        | sys_.CLONE_NEWNET
        | sys_.CLONE_NEWIPC
        | sys_.CLONE_NEWUTS
        | sys_.CLONE_NEWCGROUP
    )
    if os.geteuid() == 0:
        own_users = _enter_as_root(flags)
    else:
        own_users = True
        uid, gid = os.geteuid(), os.getegid()
        sys_.unshare(flags | sys_.CLONE_NEWUSER)
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{uid} {uid} 1")
        _write("/proc/self/gid_map", f"{gid} {gid} 1")
    if own_users:
        try:
            # With user namespaces of its own a command could reach much more of the kernel. The
            # limit belongs to the namespace that was just made, not to the machine.
            _write("/proc/sys/user/max_user_namespaces", "0")
        except OSError:
            pass  # /proc/sys is read-only in some containers


def _enter_as_root(flags: int) -> bool:
    """True with a user namespace, False without.

    Every user is mapped to itself, so that files of others stay usable in the workspace. Such a
    map has to be written from outside, by a helper process.
    """
    own = os.getpid()
    asked, ask = os.pipe()
    answered, answer = os.pipe()
    helper = os.fork()
    if helper == 0:
        os.close(ask)
        try:
            if os.read(asked, 1):
                for kind in ("uid_map", "gid_map"):
                    _write(f"/proc/{own}/{kind}", _same(f"/proc/self/{kind}"))
                os.write(answer, b"1")
        finally:
            os._exit(0)
    os.close(answer)
    os.close(asked)
    try:
        sys_.unshare(flags | sys_.CLONE_NEWUSER)
    except OSError:
        os.close(ask)
        sys_.unshare(flags)  # user namespaces are switched off; root has no need of one
        return False
    else:
        os.write(ask, b"1")
        os.close(ask)
        if not os.read(answered, 1):
            raise OSError("the user namespace's map could not be written")
        return True
    finally:
        os.close(answered)
        os.waitpid(helper, 0)


def _same(path: str) -> str:
    """The map of this user namespace with every id mapped to itself."""
    with open(path) as file:
        rows = [line.split() for line in file]
    return "".join(f"{inside} {inside} {count}\n" for inside, _, count in rows)


def build(job: Job) -> None:
    """Make the view of `job` and go into its workspace.

    Keys: scratch (a folder with upper and work, or with tree), covers (a folder with `folder` and
    `file`, both empty), workspace, overlay (else scratch/tree is the workspace), tmp_bytes, links
    (pairs of a path and a target), home, puts, and places: triples of a kind, a path and a
    flag, parents before children. Kinds are "tmp" (becomes private), "folder" and "file" (hidden;
    the flag says that something below a folder stays), "keep" (stays as it is) and "workspace".
    """
    sys_.unshare(sys_.CLONE_NEWNS)
    sys_.mount("", "/", "", sys_.MS_REC | sys_.MS_PRIVATE)
    os.chdir(job["scratch"])
    sources = [_source(kind, path, job) for kind, path, _ in job["places"]]
    devices = [(name, sys_.clone_mount(f"/dev/{name}")) for name in _devices()]
    sys_.set_mount("/", add=_LOCKED_DOWN, recursive=True)
    _make_dev(devices, job["tmp_bytes"])
    rooms = []
    for (kind, path, roomy), source in zip(job["places"], sources, strict=True):
        if _place(kind, path, source, roomy) and roomy:
            rooms.append(path)
    for path in rooms:
        sys_.set_mount(path, add=sys_.ATTR_RDONLY)
    os.makedirs(job["home"], 0o700, exist_ok=True)
    for link, target in job["links"]:
        os.makedirs(os.path.dirname(link), exist_ok=True)
        os.symlink(target, link)
    quiet = sys_.MS_NOSUID | sys_.MS_NODEV | sys_.MS_NOEXEC
    sys_.mount("proc", "/proc", "proc", quiet | sys_.MS_RDONLY)
    sys_.raise_loopback()
    os.chdir(job["workspace"])
    for path, kind, data, mode in job["puts"]:
        put(os.path.join(job["workspace"], path), kind, data, mode)


def _source(kind: str, path: str, job: Job) -> int:
    """What is to be mounted at `path`, as a detached mount."""
    if kind == "workspace" and job["overlay"]:
        return _overlay(path)
    if kind == "tmp":
        options: dict[str, str | None] = {"mode": "1777", "size": job["tmp_bytes"]}
        return sys_.new_mount("tmpfs", options, _NO_PRIVILEGES)
    if kind == "workspace":
        mount, attributes = sys_.clone_mount("tree"), _NO_PRIVILEGES
    elif kind == "keep":
        mount, attributes = sys_.clone_mount(path, recursive=True), _LOCKED_DOWN
    else:
        mount, attributes = sys_.clone_mount(f"{job['covers']}/{kind}"), _LOCKED_DOWN
    sys_.set_mount(mount, add=attributes, recursive=True)
    return mount


def _overlay(workspace: str) -> int:
    """The overlay, with all that is written going to the folder `upper` of the current one.

    The kernel splits and unescapes the layers' paths by rules that differ between versions, so it
    is given names that have nothing to split. `volatile`: nothing here has to survive a crash, so
    nothing waits for the disk.
    """
    lower = os.open(workspace, os.O_PATH | os.O_DIRECTORY)
    try:
        options: dict[str, str | None] = {
            "lowerdir": f"/proc/self/fd/{lower}",
            "upperdir": "upper",
            "workdir": "work",
            "index": "off",
            "userxattr": None,
            "volatile": None,
        }
        return sys_.new_mount("overlay", options, _NO_PRIVILEGES)
    finally:
        os.close(lower)


def _place(kind: str, path: str, source: int, roomy: bool) -> bool:
    """Put a detached mount in its place; False where there is nothing to be hidden any more."""
    if kind in ("keep", "workspace"):
        os.makedirs(path, exist_ok=True)  # its parent may be hidden by now
    try:
        if roomy:  # something below stays visible, and needs a place to be mounted on
            sys_.mount("tmpfs", path, "tmpfs", sys_.MS_NOSUID | sys_.MS_NODEV, "mode=755,size=64k")
            os.close(source)
        else:
            sys_.attach_mount(source, path)
    except (FileNotFoundError, NotADirectoryError):
        os.close(source)  # it lies in a folder that is hidden, or went away
        return False
    return True


def _devices() -> list[str]:
    return [name for name in _DEVICES if os.path.exists(f"/dev/{name}")]


def _make_dev(devices: list[tuple[str, int]], shm_bytes: str) -> None:
    """A /dev with harmless devices only: the real one may hold disks that root could write to."""
    quiet = sys_.MS_NOSUID | sys_.MS_NOEXEC
    sys_.mount("tmpfs", "/dev", "tmpfs", quiet, "mode=755,size=64k")
    for name, mount in devices:
        _write(f"/dev/{name}", "")
        sys_.attach_mount(mount, f"/dev/{name}")
    for name, target in _DEVICE_LINKS:
        os.symlink(target, f"/dev/{name}")
    os.mkdir("/dev/shm")
    shm = f"mode=1777,size={shm_bytes}"
    sys_.mount("tmpfs", "/dev/shm", "tmpfs", quiet | sys_.MS_NODEV, shm)
    os.mkdir("/dev/pts")
    try:
        sys_.mount("devpts", "/dev/pts", "devpts", quiet, "newinstance,ptmxmode=0666,mode=620")
    except OSError:
        pass  # a kernel without it: commands have no pseudo-terminals then
    sys_.set_mount("/dev", add=sys_.ATTR_RDONLY)


def limit_processes(limit: int) -> bool:
    """Bound the number of processes in this pid namespace; False where somebody has to count.

    RLIMIT_NPROC does it for everyone but root, whom the kernel exempts. Since Linux 6.14 each pid
    namespace has a pid_max of its own; before, the same file was the whole machine's. To be called
    by process 1, before `build` makes everything read-only.
    """
    if os.geteuid() != 0:
        return True
    numbers = os.uname().release.split("-")[0].split(".")[:2]
    try:
        if tuple(map(int, numbers)) < _KERNEL_WITH_OWN_PID_MAX:
            return False
        _write("/proc/sys/kernel/pid_max", str(max(limit, _SMALLEST_PID_MAX)))
    except (OSError, ValueError):
        return False
    return True


def drop_privileges() -> None:
    """Give up every capability; root keeps those about files, so that it can work as usual."""
    sys_.keep_capabilities(_FILE_CAPABILITIES if os.geteuid() == 0 else ())


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)

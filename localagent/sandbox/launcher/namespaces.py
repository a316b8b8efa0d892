# ruff: noqa: PTH102, PTH103, PTH110, PTH118, PTH120, PTH123, PTH208, PTH211
# (the launcher starts quickly, and pathlib is slow to import)
"""Confine a command by namespaces: limit its view of the machine, its network and its privileges.

This module runs in the launcher and needs only the standard library. The functions raise OSError.

The launcher enters new namespaces and forks their process 1; when process 1 ends, the kernel ends
every process in them. Process 1 builds the command's view of the machine in `_build`. Process 1
first makes an overlay of the workspace, and opens copies of the mounts that stay writable or
visible. Next it makes everything read-only, without devices or set-user-id programs. Last it mounts
/tmp, /dev, the covers of hidden folders, the kept folders, and the workspace.
"""

from __future__ import annotations

import os
import select
import signal
import time

from localagent.linux import procfs, seccomp
from localagent.linux import syscalls as sys_
from localagent.sandbox.launcher.socket_broker import BrokerPipes
from localagent.sandbox.launcher.supervisor import (
    TICK,
    LimitWatch,
    await_end,
    become,
    guarded,
    say,
)
from localagent.sandbox.launcher.write_limit import restrict_writing
from localagent.sandbox.snapshots.apply import apply_change

TYPE_CHECKING = False
if TYPE_CHECKING:
    from localagent.sandbox.launcher.supervisor import Job

_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_DEVICE_LINKS = (
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
)
_NO_PRIVILEGES = sys_.ATTR_NOSUID | sys_.ATTR_NODEV
_LOCKED_DOWN = _NO_PRIVILEGES | sys_.ATTR_RDONLY
_FIRST_KERNEL_WITH_PID_MAX = (6, 14)
_SMALLEST_PID_MAX = 310  # the kernel accepts no value below 301


def serve(job: Job, status: int, filter_code: bytes | None) -> None:
    """Run a job under a filter on system calls; `_build` lists the job's extra keys."""
    pipes = BrokerPipes(job["private_mounts"]) if job["argv"] is not None else None
    init = _start_init(job, status, filter_code, pipes)
    broker = pipes.broker(init) if pipes is not None else None
    counter = procfs.NoRouteCounter("/proc/self/net")  # the launcher shares the command's network
    result = await_end(init, status, LimitWatch(init, job), broker=broker)
    if result is None:
        os.kill(init, signal.SIGKILL)
        _, result = os.waitpid(init, 0)
    say(status, f"N {counter.count()}")
    if broker is not None and broker.refused:
        say(status, f"S {broker.refused} of other programs")
    say(status, f"D {result}")


def _start_init(job: Job, status: int, filter_code: bytes | None, pipes: BrokerPipes | None) -> int:
    relay = None
    if job["ports"]:
        from localagent.egress.splice import PortRelay

        relay = PortRelay(job["ports"])
    _enter_namespaces()
    if relay is not None:
        sys_.raise_loopback()
        relay.listen()
    alive, launcher_end = os.pipe()
    init = os.fork()
    if init == 0:
        os.close(launcher_end)
        guarded(status, lambda: _init(job, status, alive, filter_code, pipes))
    os.close(alive)
    return init


def _init(
    job: Job, status: int, alive: int, filter_code: bytes | None, pipes: BrokerPipes | None
) -> None:
    """Build the view as process 1, start the command, reap orphans and report the end."""
    sys_.die_with_parent(signal.SIGKILL)
    if select.select([alive], [], [], 0)[0]:  # the launcher ended before `die_with_parent`
        os._exit(1)
    kernel_counts = limit_processes(int(job["processes"]))
    _build(job)
    # Root keeps the capabilities for files, so that its commands work as usual.
    sys_.keep_capabilities(sys_.FILE_CAPABILITIES if os.geteuid() == 0 else ())
    sys_.forbid_ptrace()
    if pipes is None:
        say(status, "X 0")
        os._exit(0)
    child = os.fork()
    if child == 0:

        def confine() -> None:
            restrict_writing(job["private_mounts"])
            seccomp.install(filter_code)
            pipes.enter()

        guarded(status, lambda: become(job, status, confine))
    pipes.close()
    result = _collect(child, 0 if kernel_counts else int(job["processes"]))
    say(status, f"X {result}")
    os._exit(0)  # ends every process that is left in the namespace


def _collect(child: int, limit: int) -> int:
    """Reap processes until `child` has ended, or until more than `limit` (0: any number) run."""
    while True:
        pid, result = os.waitpid(-1, os.WNOHANG if limit else 0)
        if pid == child:
            return result
        if limit and not pid:
            if sum(name.isdigit() for name in os.listdir("/proc")) > limit:
                return int(signal.SIGKILL)
            time.sleep(TICK)


def _enter_namespaces() -> None:
    """Leave the machine's namespaces; the next child is process 1 of new ones.

    The launcher keeps the machine's mounts: it watches /proc and the scratch folder, which `_build`
    covers. Root also enters a user namespace if the system allows one, so that root inside has no
    power outside. Only root can do without a user namespace.
    """
    flags = (
        sys_.CLONE_NEWPID
        | sys_.CLONE_NEWNET
        | sys_.CLONE_NEWIPC
        | sys_.CLONE_NEWUTS
        | sys_.CLONE_NEWCGROUP
    )
    if os.geteuid() == 0:
        has_user_namespace = _enter_as_root(flags)
    else:
        has_user_namespace = True
        uid, gid = os.geteuid(), os.getegid()
        sys_.unshare(flags | sys_.CLONE_NEWUSER)
        procfs.write("/proc/self/setgroups", "deny")
        procfs.write("/proc/self/uid_map", f"{uid} {uid} 1")
        procfs.write("/proc/self/gid_map", f"{gid} {gid} 1")
    if has_user_namespace:
        try:
            # User namespaces would open much more of the kernel to a command, so none may be made
            # inside. This setting belongs to the new namespace, not to the machine.
            procfs.write("/proc/sys/user/max_user_namespaces", "0")
        except OSError:
            pass  # /proc/sys is read-only in some containers


def _enter_as_root(flags: int) -> bool:
    """Return True if the new namespaces include a user namespace.

    Every user is mapped to itself, so that files of other users stay usable in the workspace. Only
    a process outside the namespace can write such a map of all users, so a helper process does.
    """
    own = os.getpid()
    request, request_writer = os.pipe()
    answer, answer_writer = os.pipe()
    helper = os.fork()
    if helper == 0:
        os.close(request_writer)
        try:
            if os.read(request, 1):
                for kind in ("uid_map", "gid_map"):
                    procfs.write(f"/proc/{own}/{kind}", _identity_map(f"/proc/self/{kind}"))
                os.write(answer_writer, b"1")
        finally:
            os._exit(0)
    os.close(answer_writer)
    os.close(request)
    try:
        sys_.unshare(flags | sys_.CLONE_NEWUSER)
    except OSError:
        os.close(request_writer)
        sys_.unshare(flags)  # user namespaces are switched off; root needs none
        return False
    else:
        os.write(request_writer, b"1")
        os.close(request_writer)
        if not os.read(answer, 1):
            raise OSError("the user namespace's map could not be written")
        return True
    finally:
        os.close(answer)
        os.waitpid(helper, 0)


def _identity_map(path: str) -> str:
    """Return the map of this user namespace with every id mapped to itself."""
    with open(path) as file:
        rows = [line.split() for line in file]
    return "".join(f"{inside} {inside} {count}\n" for inside, _, count in rows)


def _build(job: Job) -> None:
    """Build the command's view of the machine, and enter its workspace.

    Extra keys of the job:

        scratch    a folder that contains `upper` and `work`, or `tree`
        covers     a folder that contains an empty `folder` and an empty `file`
        workspace  path of the workspace
        overlay    True: mount an overlay at the workspace; False: mount scratch/tree there
        tmp_bytes  size of /tmp
        home       path of the private home
        links      links to make in the home: pairs of a path and a target
        changes    changes to apply to the workspace: path, kind, data and mode
        mounts     triples of a kind, a path and a flag, parents before children

    Kinds of mounts: "tmp" becomes private, "folder" and "file" are hidden, "keep" stays as it is,
    and "workspace" is the workspace. The flag says that a path below a hidden folder stays visible.
    """
    sys_.unshare(sys_.CLONE_NEWNS)
    sys_.mount("", "/", "", sys_.MS_REC | sys_.MS_PRIVATE)
    os.chdir(job["scratch"])
    sources = [_detached_mount(kind, path, job) for kind, path, _ in job["mounts"]]
    devices = [(name, sys_.clone_mount(f"/dev/{name}")) for name in _devices()]
    sys_.set_mount("/", add=_LOCKED_DOWN, recursive=True)
    _make_dev(devices, job["tmp_bytes"])
    partly_hidden = []
    for (kind, path, partial), source in zip(job["mounts"], sources, strict=True):
        if _attach(kind, path, source, partial) and partial:
            partly_hidden.append(path)
    for path in partly_hidden:
        sys_.set_mount(path, add=sys_.ATTR_RDONLY)
    os.makedirs(job["home"], 0o700, exist_ok=True)
    for link, target in job["links"]:
        os.makedirs(os.path.dirname(link), exist_ok=True)
        os.symlink(target, link)
    quiet = sys_.MS_NOSUID | sys_.MS_NODEV | sys_.MS_NOEXEC
    sys_.mount("proc", "/proc", "proc", quiet | sys_.MS_RDONLY)
    sys_.raise_loopback()
    os.chdir(job["workspace"])
    for path, kind, data, mode in job["changes"]:
        apply_change(os.path.join(job["workspace"], path), kind, data, mode)


def _detached_mount(kind: str, path: str, job: Job) -> int:
    """Return the descriptor of the mount for `path`."""
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
    """Return the overlay's mount; writes to the overlay go to `upper` in the current folder.

    Kernel versions split and unescape the layers' paths in different ways, so these names contain
    nothing to split. With `volatile` nothing waits for the disk, since the snapshot need not
    survive a crash.
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


def _attach(kind: str, path: str, source: int, partial: bool) -> bool:
    """Attach a detached mount; return False if the path is gone or hidden already."""
    if kind in ("keep", "workspace"):
        os.makedirs(path, exist_ok=True)  # its parent may be hidden by now
    try:
        if partial:  # a path below stays visible and needs a folder to be mounted on
            sys_.mount("tmpfs", path, "tmpfs", sys_.MS_NOSUID | sys_.MS_NODEV, "mode=755,size=64k")
            os.close(source)
        else:
            sys_.attach_mount(source, path)
    except (FileNotFoundError, NotADirectoryError):
        os.close(source)  # the path lies in a hidden folder, or is gone
        return False
    return True


def _devices() -> list[str]:
    return [name for name in _DEVICES if os.path.exists(f"/dev/{name}")]


def _make_dev(devices: list[tuple[str, int]], shm_bytes: str) -> None:
    """Mount a /dev with harmless devices; the real /dev may hold disks that root could write."""
    quiet = sys_.MS_NOSUID | sys_.MS_NOEXEC
    sys_.mount("tmpfs", "/dev", "tmpfs", quiet, "mode=755,size=64k")
    for name, mount in devices:
        procfs.write(f"/dev/{name}", "")
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
        pass  # this kernel has no devpts: commands get no pseudo-terminals
    sys_.set_mount("/dev", add=sys_.ATTR_RDONLY)


def limit_processes(limit: int) -> bool:
    """Limit the processes in this pid namespace; return False if process 1 has to count them.

    RLIMIT_NPROC limits every user except root. Since Linux 6.14 each pid namespace has its own
    pid_max; in older kernels, pid_max limits the whole machine. Process 1 calls this before
    `_build` makes everything read-only.
    """
    if os.geteuid() != 0:
        return True
    if not sys_.kernel_is_at_least(_FIRST_KERNEL_WITH_PID_MAX):
        return False
    try:
        procfs.write("/proc/sys/kernel/pid_max", str(max(limit, _SMALLEST_PID_MAX)))
    except OSError:
        return False
    return True

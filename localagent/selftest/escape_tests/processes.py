# ruff: noqa: PTH115, PTH119, PTH123, PTH208
# (a separate program that must start quickly and make the calls directly)
"""Escape tests: see, stop and change other processes, and read what localagent left open."""

from __future__ import annotations

import ctypes
import os
import signal
import struct

from . import Target, add, call, escape_test, has_secret, libc

add(
    "environ",
    "another process's environment",
    lambda t: has_secret(f"/proc/{t['victim']}/environ", t),
)
add(
    "agent-environ",
    "localagent's environment",
    lambda t: has_secret(f"/proc/{t['agent']}/environ", t),
)
add(
    "proc-root",
    "files by another process's root",
    lambda t: has_secret(f"/proc/{t['victim']}/root{t['secret_file']}", t),
)
add(
    "proc-cwd",
    "files by another process's folder",
    lambda t: has_secret(f"/proc/{t['victim']}/cwd/{os.path.basename(t['secret_file'])}", t),
)
add(
    "proc-fd",
    "another process's open file",
    lambda t: has_secret(f"/proc/{t['victim']}/fd/{t['victim_fd']}", t),
)


@escape_test("parents-environ", "the environment of all parent processes")
def _(t: Target) -> object:
    pid, results = os.getpid(), []
    while pid > 1:
        with open(f"/proc/{pid}/stat") as file:
            pid = int(file.read().rpartition(")")[2].split()[1])
        try:
            results.append(has_secret(f"/proc/{pid}/environ", t))
        except OSError:
            continue
    return any(results)


@escape_test("proc-mem", "another process's memory")
def _(t: Target) -> object:
    with open(f"/proc/{t['victim']}/maps") as maps:
        first = maps.readline()
    with open(f"/proc/{t['victim']}/mem", "rb") as mem:
        mem.seek(int(first.split("-")[0], 16))
        return len(mem.read(16)) == 16


@escape_test("ptrace", "ptrace")
def _(t: Target) -> object:
    return call(101, 117, 0x4206, t["victim"], 0, 0) == 0  # PTRACE_SEIZE does not stop the process


@escape_test("vm-read", "reading another process's memory by a call")
def _(t: Target) -> object:
    buffer = ctypes.create_string_buffer(16)
    local = (ctypes.c_ulong * 2)(ctypes.addressof(buffer), 16)
    remote = (ctypes.c_ulong * 2)(t["victim_address"], 16)
    return call(310, 270, t["victim"], local, 1, remote, 1, 0) == 16


# Signals: the victim records each signal, so every test sends a different one


@escape_test("signal", "a signal to another process")
def _(t: Target) -> None:
    os.kill(t["victim"], signal.SIGUSR1)


@escape_test("thread-signal", "a signal to another process's thread")
def _(t: Target) -> None:
    call(234, 131, t["victim"], t["victim"], signal.SIGUSR2)


@escape_test("queued-signal", "a queued signal to another process")
def _(t: Target) -> None:
    info = ctypes.create_string_buffer(128)
    struct.pack_into("iii", info, 0, signal.SIGRTMIN + 1, 0, -1)
    call(129, 138, t["victim"], signal.SIGRTMIN + 1, info)


@escape_test("pidfd-signal", "a signal by a process's descriptor")
def _(t: Target) -> None:
    signal.pidfd_send_signal(os.pidfd_open(t["victim"]), signal.SIGRTMIN + 2)


@escape_test("io-signal", "a signal by a pipe that belongs to another process")
def _(t: Target) -> None:
    import fcntl

    read, write = os.pipe()
    fcntl.fcntl(read, 10, signal.SIGRTMIN + 3)  # F_SETSIG
    fcntl.fcntl(read, fcntl.F_SETOWN, t["victim"])
    fcntl.fcntl(read, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    os.write(write, b"x")


# Properties of another process


@escape_test("pidfd-getfd", "another process's descriptor")
def _(t: Target) -> object:
    descriptor = call(438, 438, os.pidfd_open(t["victim"]), t["victim_fd"], 0)
    return has_secret(f"/proc/self/fd/{descriptor}", t)


@escape_test("limits", "another process's limits")
def _(t: Target) -> object:
    import resource

    old = resource.prlimit(t["victim"], resource.RLIMIT_NOFILE)
    resource.prlimit(t["victim"], resource.RLIMIT_NOFILE, (77, old[1]))
    return True


@escape_test("priority", "another process's priority")
def _(t: Target) -> object:
    now = os.getpriority(os.PRIO_PROCESS, t["victim"])
    os.setpriority(os.PRIO_PROCESS, t["victim"], min(now + 3, 19))
    return True


@escape_test("affinity", "which processors another process may use")
def _(t: Target) -> object:
    os.sched_setaffinity(t["victim"], {min(os.sched_getaffinity(0))})
    return True


@escape_test("oom", "which process the kernel ends first when memory runs out")
def _(t: Target) -> object:
    with open(f"/proc/{t['victim']}/oom_score_adj", "w") as file:
        file.write("900")
    return True


@escape_test("namespace", "another process's namespace")
def _(t: Target) -> object:
    return call(308, 268, os.open(f"/proc/{t['victim']}/ns/net", os.O_RDONLY), 0) == 0


@escape_test("sysv", "System V shared memory of other programs")
def _(t: Target) -> object:
    libc.shmat.restype = ctypes.c_void_p
    address = libc.shmat(t["sysv"], None, 0o10000)  # SHM_RDONLY
    if address in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return t["secret"].encode() in ctypes.string_at(address, 64)


add(
    "message-queue",
    "message queues of other programs",
    lambda t: call(240, 180, t["marker"].encode(), os.O_RDONLY | os.O_NONBLOCK, 0, None) >= 0,
)

# Descriptors and secrets that localagent left open or passed on


@escape_test("descriptors", "files that localagent has open")
def _(_t: Target) -> object:
    paths = []
    for name in os.listdir("/proc/self/fd"):
        try:
            path = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the descriptor of the listing itself
        if int(name) > 2 and not path.startswith(("pipe:", "/dev/null", "/proc/")):
            paths.append(path)
    return paths


add(
    "environment",
    "secrets in the environment",
    lambda t: [name for name, value in os.environ.items() if t["secret"] in value],
)


@escape_test("cmdline", "secrets on the command line of this command's parents")
def _(t: Target) -> object:
    return has_secret(f"/proc/{os.getppid()}/cmdline", t)

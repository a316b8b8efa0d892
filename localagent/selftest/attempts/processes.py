# ruff: noqa: PTH119, PTH123
# (a program of its own that must start quickly and use the calls themselves)
"""Attempts: other processes: seen, stopped, changed. Each says what it tries."""

from __future__ import annotations

import ctypes
import os
import signal
import struct

from .known import Target, attempt, call, seen


@attempt("environ", "another process's environment")
def _(t: Target) -> object:
    return seen(f"/proc/{t['victim']}/environ", t)


@attempt("agent-environ", "localagent's environment")
def _(t: Target) -> object:
    return seen(f"/proc/{t['agent']}/environ", t)


@attempt("parents-environ", "the environment of all parents")
def _(t: Target) -> object:
    pid, found = os.getpid(), []
    while pid > 1:
        with open(f"/proc/{pid}/stat") as file:
            pid = int(file.read().rpartition(")")[2].split()[1])
        try:
            found.append(seen(f"/proc/{pid}/environ", t))
        except OSError:
            continue
    return any(found)


@attempt("proc-root", "files by another process's root")
def _(t: Target) -> object:
    return seen(f"/proc/{t['victim']}/root{t['secret_file']}", t)


@attempt("proc-cwd", "files by another process's folder")
def _(t: Target) -> object:
    return seen(f"/proc/{t['victim']}/cwd/{os.path.basename(t['secret_file'])}", t)


@attempt("proc-fd", "another process's open file")
def _(t: Target) -> object:
    return seen(f"/proc/{t['victim']}/fd/{t['victim_fd']}", t)


@attempt("proc-mem", "another process's memory")
def _(t: Target) -> object:
    with open(f"/proc/{t['victim']}/maps") as maps:
        first = maps.readline()
    with open(f"/proc/{t['victim']}/mem", "rb") as mem:
        mem.seek(int(first.split("-")[0], 16))
        return len(mem.read(16)) == 16


@attempt("ptrace", "ptrace")
def _(t: Target) -> object:
    call(101, 117, 0x4206, t["victim"], 0, 0)  # PTRACE_SEIZE: it is not stopped
    return True


@attempt("vm-read", "reading another process's memory by a call")
def _(t: Target) -> object:
    buffer = ctypes.create_string_buffer(16)
    local = (ctypes.c_ulong * 2)(ctypes.addressof(buffer), 16)
    remote = (ctypes.c_ulong * 2)(t["victim_address"], 16)
    return call(310, 270, t["victim"], local, 1, remote, 1, 0) == 16


@attempt("signal", "a signal to another process")
def _(t: Target) -> object:
    os.kill(t["victim"], signal.SIGUSR1)
    return None  # the process notes it; each attempt has a signal of its own


@attempt("thread-signal", "a signal to another process's thread")
def _(t: Target) -> object:
    call(234, 131, t["victim"], t["victim"], signal.SIGUSR2)
    return None


@attempt("queued-signal", "a queued signal to another process")
def _(t: Target) -> object:
    info = ctypes.create_string_buffer(128)
    struct.pack_into("iii", info, 0, signal.SIGRTMIN + 1, 0, -1)
    call(129, 138, t["victim"], signal.SIGRTMIN + 1, info)
    return None


@attempt("pidfd-signal", "a signal by a process's descriptor")
def _(t: Target) -> object:
    found = os.pidfd_open(t["victim"])
    signal.pidfd_send_signal(found, signal.SIGRTMIN + 2)
    return None


@attempt("io-signal", "a signal by a pipe that belongs to another process")
def _(t: Target) -> object:
    import fcntl

    read, write = os.pipe()
    fcntl.fcntl(read, 10, signal.SIGRTMIN + 3)  # F_SETSIG
    fcntl.fcntl(read, fcntl.F_SETOWN, t["victim"])
    fcntl.fcntl(read, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    os.write(write, b"x")
    return None


@attempt("pidfd-getfd", "another process's descriptor")
def _(t: Target) -> object:
    found = os.pidfd_open(t["victim"])
    return seen(f"/proc/self/fd/{call(438, 438, found, t['victim_fd'], 0)}", t)


@attempt("limits", "another process's limits")
def _(t: Target) -> object:
    import resource

    old = resource.prlimit(t["victim"], resource.RLIMIT_NOFILE)
    resource.prlimit(t["victim"], resource.RLIMIT_NOFILE, (77, old[1]))
    return True


@attempt("priority", "another process's priority")
def _(t: Target) -> object:
    now = os.getpriority(os.PRIO_PROCESS, t["victim"])
    os.setpriority(os.PRIO_PROCESS, t["victim"], min(now + 3, 19))
    return True


@attempt("affinity", "which processors another process may use")
def _(t: Target) -> object:
    os.sched_setaffinity(t["victim"], {min(os.sched_getaffinity(0))})
    return True


@attempt("oom", "which process falls first when memory runs out")
def _(t: Target) -> object:
    with open(f"/proc/{t['victim']}/oom_score_adj", "w") as file:
        file.write("900")
    return True


@attempt("namespace", "another process's namespace")
def _(t: Target) -> object:
    found = os.open(f"/proc/{t['victim']}/ns/net", os.O_RDONLY)
    return call(308, 268, found, 0) == 0

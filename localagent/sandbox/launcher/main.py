# (the launcher starts quickly, and pathlib is slow to import)
"""The launcher: a small program that starts and watches one command for localagent.

The launcher runs as `python -I -S` with only the standard library. localagent may start the
launcher ahead of time. The launcher then waits on its standard input for a job: eight bytes of
length (little endian), and a marshaled dictionary (`Job`). The launcher's standard output is the
command's output. When its standard input closes, the launcher ends with everything that it started.
So no launcher outlives localagent.

The launcher itself is not confined; it watches the command from outside.

Lines on the status descriptor:

    R                 the command starts.
    X <wait status>   the command ended with this status.
    E <text>          the sandbox could not be set up.
    D <wait status>   process 1 of the namespaces ended.
    K <text>          the command passed this limit, so the launcher ended it.
    N <count>         the command tried this often to reach another machine.
    S <kinds>         the sandbox refused these other sockets to the command.

Keys of every job; each kind adds its own:

    kind              "plain", "seccomp", "namespace", "bubblewrap" or "landlock".
    argv              the command; None: apply the changes and run nothing.
    env, cwd          the command's environment and its working folder.
    limits            pairs of an RLIMIT_* name and a value.
    processes, memory, disk: limits that the launcher checks (see LimitWatch).
    written           folders whose files count towards the disk limit.
    ports             ports of this machine that are open to the command.
    isolated_network  True if the launcher's own network has no route to the outside.
    input             True if the command reads the input descriptor.
"""

from __future__ import annotations

import marshal
import os
import sys

from localagent.linux import procfs, seccomp
from localagent.sandbox.launcher import bubblewrap, landlock, namespaces
from localagent.sandbox.launcher.supervisor import say, serve_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from localagent.sandbox.launcher.supervisor import Job

_FILTER = seccomp.program(shared=False)  # assembled ahead of time, before a job arrives


def main() -> NoReturn:
    """Serve one job and end; the arguments are the status and the input descriptor."""
    status, command_input = map(int, sys.argv[1:])
    os.set_inheritable(status, False)
    os.set_inheritable(command_input, False)
    job = _receive()
    if job is not None:
        job["input"] = command_input if job["input"] else None
        _fall_first()
        try:
            _serve(job, status)
        except OSError as error:
            say(status, f"E {error}")
    os._exit(0)  # at once: an orderly end of the interpreter would double the launcher's run time


def _serve(job: Job, status: int) -> None:
    kind = job["kind"]
    if kind == "namespace":
        namespaces.serve(job, status, _FILTER)
    elif kind == "bubblewrap":
        bubblewrap.serve(job, status, _FILTER or b"")
    elif kind == "landlock":
        landlock.serve(job, status)
    elif kind == "seccomp":
        from localagent.sandbox.launcher import offline  # sockets are slow to import

        offline.serve(job, status)
    else:
        serve_plain(job, status)


def _receive() -> Job | None:
    length = int.from_bytes(_read_exactly(8), "little")
    data = _read_exactly(length)
    return marshal.loads(data) if length and len(data) == length else None


def _read_exactly(count: int) -> bytes:
    parts = []
    while count and (part := os.read(0, min(count, 1 << 20))):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _fall_first() -> None:
    """Let the kernel end the command when memory runs out, not the model or the desktop."""
    try:
        procfs.write("/proc/self/oom_score_adj", "1000")
    except OSError:
        pass

"""Calls functions in a child process, so that a crash loses one answer but not the session.

The module does not use `multiprocessing`, whose child runs the main program again. A program
without a `__main__` guard would then start itself.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

from localagent.core.interpreter import environment, python

P = ParamSpec("P")
R = TypeVar("R")

SECONDS = 60.0
"""Seconds after which a call counts as hung."""

# bytes of address space, so that a runaway parser does not exhaust the machine's memory
_BYTES = 4 << 30
_GRACE = 2.0  # seconds to wait for the end of a killed process


class ChildDied(Exception):
    """The child process ended, or was killed, before it answered."""


class Child:
    """A child process that starts with the first call, and starts again after a crash.

    Use a `Child` from one thread at a time. `niceness` is the nice value of the process, which
    imports `module` first.
    """

    def __init__(self, niceness: int = 0, module: str = "") -> None:
        self._niceness = niceness
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process if it does not run, without waiting for it.

        Raises OSError if the process cannot start.
        """
        self._started()

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `function` in the process; return its result, or raise its exception.

        Raises ChildDied, and OSError if the process or a thread cannot start.
        """
        process = self._started()
        assert process.stdin is not None and process.stdout is not None
        alarm = threading.Timer(SECONDS, process.kill)
        alarm.daemon = True
        try:
            alarm.start()
        except RuntimeError as error:  # the limit of processes and threads is reached
            raise OSError(errno.EAGAIN, str(error)) from error
        try:
            pickle.dump((function, args, kwargs), process.stdin, pickle.HIGHEST_PROTOCOL)
            process.stdin.flush()
            ok, value = pickle.load(process.stdout)
        except (OSError, ValueError, EOFError, pickle.UnpicklingError) as error:
            self.close()
            raise ChildDied(f"the process ended: {error or type(error).__name__}") from error
        except BaseException:
            self.close()  # the next call would read the answer of this call
            raise
        finally:
            alarm.cancel()
        if not ok:
            raise value
        result: R = value
        return result

    def close(self) -> None:
        """End the child process."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self.close()
            self._process = subprocess.Popen(
                python("-m", "localagent.code.process", str(self._niceness), self._module),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=environment(),
            )
        return self._process


def _main(niceness: int, module: str) -> None:
    """Answer calls from standard input until it ends; import `module` before the first one."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_BYTES, _BYTES))
    with contextlib.suppress(OSError, AttributeError):
        os.nice(niceness)
    calls = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # the output of libraries must not mix with answers
    if module:
        import_module(module)
    while True:
        try:
            function, args, kwargs = pickle.load(calls)
        except EOFError:
            return
        answer: tuple[bool, Any]
        try:
            answer = (True, function(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - `call` raises it in the parent
            answer = (False, error)
        pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        _main(int(sys.argv[1]), sys.argv[2])

"""Calls functions in a child process: a crash there costs one answer, not the session.

Not `multiprocessing`: its child runs the main program again, and a program without a `__main__`
guard would start itself.
"""

from __future__ import annotations

import contextlib
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
"""A call that takes longer counts as hung."""

_BYTES = 4 << 30  # of address space: a runaway parser ends itself, not the machine
_GRACE = 2.0  # seconds that a killed process has to end


class ChildDied(Exception):
    """The process ended, or was killed, before it answered."""


class Child:
    """A process that starts with the first call, and again after a crash.

    Use it from one thread at a time. `niceness` is its nice value. It imports `module` first.
    """

    def __init__(self, niceness: int = 0, module: str = "") -> None:
        self._niceness = niceness
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process where it does not run, without waiting for it.

        Raises OSError where it cannot start.
        """
        self._started()

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The result of `function` in the process; its exceptions are raised here.

        Raises ChildDied, and OSError where the process cannot start.
        """
        process = self._started()
        assert process.stdin is not None and process.stdout is not None
        alarm = threading.Timer(SECONDS, process.kill)
        alarm.daemon = True
        alarm.start()
        try:
            pickle.dump((function, args, kwargs), process.stdin, pickle.HIGHEST_PROTOCOL)
            process.stdin.flush()
            ok, value = pickle.load(process.stdout)
        except (OSError, ValueError, EOFError, pickle.UnpicklingError) as error:
            self.close()
            raise ChildDied(f"the process ended: {error or type(error).__name__}") from error
        except BaseException:
            self.close()  # the next call would take its answer
            raise
        finally:
            alarm.cancel()
        if not ok:
            raise value
        result: R = value
        return result

    def close(self) -> None:
        """End the process."""
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
    os.dup2(2, 1)  # output of libraries must not mix with answers
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
        except Exception as error:  # noqa: BLE001 - the caller raises it
            answer = (False, error)
        pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        _main(int(sys.argv[1]), sys.argv[2])

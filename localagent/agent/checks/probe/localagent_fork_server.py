"""A pytest plug-in that runs some of the tests in forks of this process, one fork for each change.

LOCALAGENT_FORK_SERVER in the environment makes pytest a server. It writes JSON objects to its
standard output, one a line, and reads requests from its standard input:

    {"number": 7, "path": "a.py", "lines": [3, 4], "text": "…", "run": ["a_test.py::test_x"],
     "seconds": 1.5}

A request names a file, the lines to replace (from 0, the end not included), the new text, and the
tests to run. A request without a path changes nothing; later replies leave out equal results:

    {"number": 7, "fault": "", "results": {"a_test.py::test_x": ["passed", ""]}, "seconds": 0.02}

With "collected", the server forks after the collection of the tests, and puts the change into the
functions that exist. The fault "refused" says that this is impossible, because the changed code ran
when modules were imported. With "fresh", the server forks before pytest imports anything of the
project, and the fork imports the changed file.

The code under test runs in the forks, so it may do anything to them and to this process. The
replies only guide the search.
"""

import gc
import importlib
import importlib.machinery
import json
import os
import select
import signal
import sys
import time
import warnings
from typing import Any, Dict, List  # the generic types of older Python versions

import localagent_probe  # type: ignore[import-not-found]
import pytest
from localagent_code_swap import Refused, Swapper  # type: ignore[import-not-found]

MARK = "LOCALAGENT-FORK "
MAX_REPLY = 1 << 20
_MODE = os.environ.pop("LOCALAGENT_FORK_SERVER", "")  # a pytest that a test starts serves nothing


class _Fork:
    def __init__(self, request: Any, pid: int, pipe: int) -> None:
        self.number = request["number"]
        self.is_first = "path" not in request
        self.pid = pid
        self.pipe = pipe
        self.start = time.monotonic()
        self.end = self.start + request["seconds"]
        self.data = b""


class _Server:
    """Takes the standard streams away from the code under test, and serves requests."""

    def __init__(self) -> None:
        self._requests, self._replies = os.dup(0), os.dup(1)
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        self._results = {}  # type: Dict[str, Any]
        self._forks = {}  # type: Dict[int, _Fork]
        self._input = b""
        self._pipe = -1
        self.prepare = None  # type: Any  # called with each request that has a path

    def serve(self) -> Any:
        """Answer requests until the input ends. Returns the request in each fork, else None."""
        self._say({"ready": True})
        while True:
            poll = select.poll()
            poll.register(self._requests, select.POLLIN)
            for pipe in self._forks:
                poll.register(pipe, select.POLLIN)
            now = time.monotonic()
            waits = [max(fork.end - now, 0) for fork in self._forks.values()]
            ready = [
                descriptor for descriptor, _ in poll.poll(min(waits) * 1000 + 1 if waits else None)
            ]
            for pipe in ready:
                if pipe in self._forks:
                    self._collect(self._forks[pipe])
            for fork in list(self._forks.values()):
                if time.monotonic() > fork.end:
                    self._finish(fork, {"fault": "timeout"})
            if self._requests in ready:
                data = os.read(self._requests, 1 << 16)
                if not data:
                    return None
                lines = (self._input + data).split(b"\n")
                self._input = lines.pop()
                for line in lines:
                    request = json.loads(line.decode())
                    if self._fork(request):
                        return request

    def reply(self, fault: str, results: Dict[str, Any], **more: Any) -> None:
        """Write the reply of a fork, and end the fork."""
        changed = {
            test: result for test, result in results.items() if self._results.get(test) != result
        }
        data = (json.dumps(dict(more, fault=fault, results=changed)) + "\n").encode()
        while data:
            data = data[os.write(self._pipe, data) :]
        os._exit(0)

    def _fork(self, request: Any) -> bool:
        """Fork; True in the fork."""
        if self.prepare is not None and "path" in request:
            self.prepare(request["path"])
        reader, writer = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a fork of a process with threads
            pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            os.close(self._requests)
            os.close(self._replies)
            self._pipe = writer
            return True
        os.close(writer)
        try:
            os.setpgid(pid, pid)
        except OSError:
            pass  # the fork has set its group, or has ended
        self._forks[reader] = _Fork(request, pid, reader)
        return False

    def _collect(self, fork: _Fork) -> None:
        data = os.read(fork.pipe, 1 << 16)
        fork.data += data
        if data and not fork.data.endswith(b"\n") and len(fork.data) < MAX_REPLY:
            return
        try:
            reply = json.loads(fork.data.decode())
            fault, results = str(reply["fault"]), dict(reply["results"])
        except (ValueError, KeyError, TypeError):
            self._finish(fork, {"fault": "died"})
            return
        if fork.is_first:
            self._results.update(results)
            _import(reply.get("modules", []))
        self._finish(fork, {"fault": fault, "results": results})

    def _finish(self, fork: _Fork, reply: Dict[str, Any]) -> None:
        """End a fork with its processes, and pass its reply on."""
        try:
            os.killpg(fork.pid, signal.SIGKILL)
        except OSError:
            pass
        os.waitpid(fork.pid, 0)
        os.close(fork.pipe)
        del self._forks[fork.pipe]
        self._say(dict(reply, number=fork.number, seconds=time.monotonic() - fork.start))

    def _say(self, reply: Dict[str, Any]) -> None:
        data = ("\n" + MARK + json.dumps(reply) + "\n").encode()
        while data:
            data = data[os.write(self._replies, data) :]


def _import(names: List[str]) -> None:
    """Import what the tests import, so that no fork has to."""
    sys.settrace(_record_call)
    for name in names:
        try:
            importlib.import_module(name)
        except BaseException:  # noqa: BLE001 - a module may do anything when imported
            continue
    sys.settrace(None)


def _result(test: str) -> List[str]:
    # A file has a result only if it cannot be collected.
    unknown = {"outcome": "failed" if "::" in test else "passed"}
    known = localagent_probe._tests.get(test, unknown)
    return [known["outcome"], known.get("message", "")]


_server = _Server() if _MODE else None
_request = None  # type: Any
_executed = {}  # type: Dict[int, Any]


def _record_call(frame: Any, _event: str, _arg: Any) -> None:
    _executed[id(frame.f_code)] = frame.f_code


if _server is not None and _MODE == "fresh":
    _request = _server.serve()
    if _request is None:
        os._exit(0)
elif _server is not None:
    sys.settrace(_record_call)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: Any) -> None:
    """Collect the tests in this process, not in those of pytest-xdist; in a fork, only some."""
    if _server is None:
        return
    if getattr(config.option, "numprocesses", None):
        config.option.numprocesses = 0
        config.option.dist = "no"
    # The error is enough. It takes longer to read the sources of a traceback than to run a test.
    config.option.tbstyle = "value"
    if _request is not None:
        config.option.collectonly = not any("::" in test for test in _request["run"])
        config.args = [os.path.join(str(config.rootdir), test) for test in _request["run"]]
        _change_source(_request)


def _change_source(request: Any) -> None:
    """Make every import of a file read the changed lines."""
    if "path" not in request:
        return
    assert _server is not None
    changed = os.path.realpath(request["path"])
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    if changed in [os.path.realpath(file) for file in files if file]:
        _server.reply("refused: pytest itself imports the file", {})
    with open(changed, "rb") as file:
        lines = file.read().replace(b"\r\n", b"\n").split(b"\n")
    first, last = request["lines"]
    lines[first:last] = [line.encode() for line in request["text"].split("\n")]
    loader = importlib.machinery.SourceFileLoader
    get_data, path_stats = loader.get_data, loader.path_stats

    def changed_data(self: Any, path: str) -> bytes:
        return b"\n".join(lines) if os.path.realpath(path) == changed else get_data(self, path)

    def changed_stats(self: Any, path: str) -> Any:
        stats = path_stats(self, path)
        if os.path.realpath(path) == changed:
            stats = dict(stats, mtime=0)  # no compiled file is as old
        return stats

    loader.get_data, loader.path_stats = changed_data, changed_stats  # type: ignore[method-assign]


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: Any) -> None:
    """Serve requests in place of running the tests, unless this is a fork."""
    if _server is not None and _request is None:
        sys.settrace(None)
        try:
            if not session.testsfailed:
                _serve_collected(_server, {item.nodeid: item for item in session.items})
        finally:
            os._exit(0)


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure(config: Any) -> None:
    """Reply in a fork that ran pytest to its end."""
    if _server is not None and _request is not None:
        _server.reply("", {test: _result(test) for test in _request["run"]})


def _serve_collected(server: _Server, items: Dict[str, Any]) -> None:
    swappers = []  # type: List[Swapper]

    def prepare(path: str) -> None:
        if not swappers:
            swappers.append(Swapper())
            gc.collect()
            gc.freeze()  # a collection would copy every page that forks share
        try:
            swappers[0].prepare(path)
        except (OSError, SyntaxError, ValueError, RecursionError):
            pass  # the fork fails in the same way, and replies

    server.prepare = prepare
    request = server.serve()
    if request is None:
        return
    before = set(sys.modules)
    ran_at_import = "path" in request and _swap(server, swappers[0], request)
    ran = [items[test] for test in request["run"] if test in items]
    fault = "refused: the function ran at import" if ran_at_import else ""
    try:
        for number, item in enumerate(ran, 1):
            following = ran[number] if number < len(ran) else None
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
    except BaseException as error:  # noqa: BLE001 - pytest.exit, or an interrupt by the code
        fault = "ended: %s" % type(error).__name__
    results = {item.nodeid: _result(item.nodeid) for item in ran}
    modules = [] if "path" in request else sorted(set(sys.modules) - before)
    server.reply(fault, results, modules=modules)


def _swap(server: _Server, swapper: Any, request: Any) -> bool:
    """Make the change of a request. True if the changed code ran when modules were imported."""
    first, last = request["lines"]
    try:
        replaced = swapper.swap(request["path"], first, last, request["text"].split("\n"))
    except Refused as error:
        server.reply("refused: %s" % error, {})
    except (SyntaxError, ValueError, RecursionError, MemoryError, OSError) as error:
        server.reply("syntax: %s" % error, {})
    return any(id(code) in _executed for code in replaced)

"""Reading files for the index in processes of their own: they compute, this one writes.

A grammar that crashes on a file ends one of them. Then the files of its job are read one by one,
and the one that ends a process again is taken in without being parsed.
"""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from localagent.code.process import Child, ChildDied
from localagent.index import tokenizer
from localagent.index.digest import MAX_BYTES, Entry, Listed, believed, digest
from localagent.workspace.workspace import Workspace

_AHEAD = 3  # jobs for each process that wait or are being done: they bound the memory
_NICE = 10  # the index is never what somebody waits for


class Readers:
    """Processes that read files of a workspace, `count` at most; each is started when it is needed
    first, or before, by `start`. Use it from one thread."""

    def __init__(self, workspace: Workspace, count: int = 1) -> None:
        self._workspace = workspace
        self._count = count
        self._children = [Child(_NICE, __name__) for _ in range(count)]
        self._free: queue.SimpleQueue[Child] = queue.SimpleQueue()
        self._closed = False
        for child in self._children:
            self._free.put(child)

    def close(self) -> None:
        """End the processes."""
        self._closed = True
        for child in self._children:
            child.close()

    def start(self) -> None:
        """Start the first process, which imports what it needs while the files are still listed.

        Raises OSError where it cannot be started.
        """
        self._children[0].start()

    def read(
        self, jobs: Iterable[Sequence[Listed]], *, alone: bool = False
    ) -> Iterator[list[Entry]]:
        """What to put into the index for the files of each job, in order; by one process where it
        is to be `alone`. What cannot be read, or is gone, is left out. Raises OSError where no
        process can be started."""
        if alone or self._count == 1:
            yield from map(self._done, jobs)
            return
        with ThreadPoolExecutor(self._count, "index-reader") as pool:
            running: deque[Future[list[Entry]]] = deque()
            try:
                for job in jobs:
                    running.append(pool.submit(self._done, job))
                    if len(running) >= _AHEAD * self._count:
                        yield running.popleft().result()
                while running:
                    yield running.popleft().result()
            finally:
                if running:  # nobody wants them any more
                    for future in running:
                        future.cancel()
                    self.close()

    def _done(self, job: Sequence[Listed]) -> list[Entry]:
        child = self._free.get()
        try:
            return list(self._read_by(child, job))
        finally:
            self._free.put(child)

    def _read_by(self, child: Child, job: Sequence[Listed]) -> Iterator[Entry]:
        if self._closed:
            return
        try:
            yield from child.call(entries, self._workspace, job)
            return
        except ChildDied:
            if len(job) == 1 and not self._closed:
                yield from entries(self._workspace, job, parse=False)
        if len(job) > 1:
            for file in job:
                yield from self._read_by(child, [file])


def entries(workspace: Workspace, job: Sequence[Listed], *, parse: bool = True) -> list[Entry]:
    """What to put into the index for these files, read in this process."""
    found = (_entry(workspace, file, parse) for file in job)
    return [one for one in found if one is not None]


def _entry(workspace: Workspace, file: Listed, parse: bool) -> Entry | None:
    try:
        data = workspace.read_listed(file.path, MAX_BYTES + 1)
    except OSError:
        return None
    made = digest(file.path, data, parse=parse)
    names = " ".join(symbol.name.replace(".", " ") for symbol in made.symbols)
    return Entry(
        file.path,
        believed(file),
        file.size,
        made,
        tokenizer.stored(tokenizer.counted(file.path.replace("/", " "))),
        tokenizer.stored(tokenizer.counted(names)),
    )

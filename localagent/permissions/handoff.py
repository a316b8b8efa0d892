"""Files that other programs run or obey later, outside of every sandbox.

An editor runs a project's tasks, git runs filters, a shell loads `.envrc`, and a build starts the
Makefile. Who changes such a file decides what these programs do. So localagent asks before it
changes one in the modes that allow other edits, and names those that a command changed.

Most of these files are known by name. A link in the workspace can give such a name to any file, so
every name under which links reach a file counts.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from localagent.workspace.git.run import ask_git
from localagent.workspace.workspace import ENVIRONMENT_MARK

# File names in lower case, in any folder.
_NAMES = (
    *("makefile", "gnumakefile", "*.mk", "justfile", "rakefile", "jenkinsfile", "vagrantfile"),
    *("package.json", "build.rs", "setup.py", "noxfile.py", "conftest.py", "*.pth", "tox.ini"),
    *("sitecustomize.py", "usercustomize.py", ".pre-commit-config.yaml", ".gitattributes"),
    *(".gitmodules", ".gitlab-ci.yml", ".travis.yml", "azure-pipelines.yml", ".envrc", ".npmrc"),
    *(".exrc", ".vimrc", ".nvimrc", ".nvim.lua", ".gdbinit", ".lldbinit", ".dir-locals.el"),
    *(".bazelrc", ".mcp.json", ".pypirc", ".yarnrc", ".yarnrc.yml", "lefthook.yml"),
    *("*.code-workspace", ".devcontainer.json", ".lvimrc", ".localvimrc", ".pdbrc", ".irbrc"),
    *(".pryrc", ".rprofile", ".pnp.cjs", ".mise.toml", "mise.toml", "taskfile.yml", "procfile"),
    *("gemfile", "podfile", "brewfile", "gulpfile.js", "gruntfile.js", "cmakelists.txt"),
    *("meson.build", "build.gradle", "build.gradle.kts", "settings.gradle", "gradlew", "mvnw"),
    *("gradlew.bat", "mvnw.cmd", "dockerfile", "docker-compose.yml", "docker-compose.yaml"),
    *("compose.yml", "compose.yaml", "flake.nix", "shell.nix", "default.nix"),
    *("bitbucket-pipelines.yml", "pyvenv.cfg", "*requirements*.txt", "pipfile"),
    *("appveyor.yml", ".appveyor.yml", ".drone.yml", ".woodpecker.yml", "cloudbuild.yaml"),
    *(".bashrc", ".bash_profile", ".profile", ".zshrc", ".zshenv", ".zprofile", "opencode.json"),
)
# Folders, in any folder; two parts stand for a folder in a folder.
_FOLDERS = (
    *(".vscode", ".idea", ".husky", ".devcontainer", ".circleci", ".cargo", ".claude", ".cursor"),
    *(".codex", ".gemini", ".github/workflows", ".github/actions", ".venv/bin", "venv/bin"),
    *("env/bin", ".venv/scripts", "venv/scripts", "env/scripts", "site-packages"),
    *("node_modules/.bin", ".git-hooks", ".githooks", ".hg", ".jj", ".svn", ".bzr", ".zed"),
    *(".fleet", ".windsurf", ".kiro", ".opencode", ".yarn/releases", ".yarn/plugins", ".mvn"),
    *(".gitlab", ".buildkite", ".woodpecker", ".tekton", ".direnv", ".vim", ".nvim", ".mise"),
    *(".tox", ".nox", "gradle/wrapper", ".config/mise", ".config/nvim"),
    *(".config/autostart", ".config/systemd", ".local/bin", ".local/share/applications"),
    ".localagent",  # no tool writes there, but a link with this name may lead elsewhere
)


# What stands for a folder, such as a link: also the name of a folder around one of `_FOLDERS`.
_TOPS = tuple({f"/{folder.partition('/')[0]}" for folder in _FOLDERS})
_PROGRAMS = ("bin", "scripts")  # the folder of a virtual environment's programs
# Folders without links for the user's programs, and with many files.
_PACKAGES = (".git", "node_modules", "site-packages")
_MAX_ENTRIES = 50_000  # of the workspace, in a search for links; takes up to half a second
_MAX_NAMES = 64  # of one file
_SECONDS = 5.0  # for which the links and the folder of hooks are not read again


def runs_later(path: str) -> bool:
    """Report whether other programs run or obey the file at `path`, with `/` between its parts.

    A file or a link in the place of a folder that holds such files counts too.
    """
    lower = path.lower()
    name = lower.rpartition("/")[2]
    if any(fnmatchcase(name, pattern) for pattern in _NAMES):
        return True
    return f"/{lower}".endswith(_TOPS) or any(f"/{each}/" in f"/{lower}/" for each in _FOLDERS)


class HandoffFiles:
    """The files of the workspace at `root` that other programs run or obey.

    Besides the names of `runs_later`, these are files to which links with such names lead, programs
    of virtual environments, and the folder that git's setting core.hooksPath names.
    """

    def __init__(self, root: Path) -> None:
        self._root = Path(os.path.realpath(root))
        self._links: dict[str, list[str]] = {}
        self._hooks: tuple[str, ...] = ()
        self._known: dict[str, bool] = {}
        self._read = -_SECONDS

    def runs_later(self, path: str) -> bool:
        """Report whether other programs run or obey the file at `path`, relative to the root."""
        if time.monotonic() - self._read >= _SECONDS:
            self._links, self._hooks = self._find_links(), self._find_hooks()
            self._known.clear()
            self._read = time.monotonic()
        if path not in self._known:
            names = self._names(path)
            self._known[path] = len(names) > _MAX_NAMES or any(map(self._is_handoff, names))
        return self._known[path]

    def _is_handoff(self, name: str) -> bool:
        return runs_later(name) or f"{name}/".startswith(self._hooks) or self._is_program(name)

    def _names(self, path: str) -> list[str]:
        """The path, the path to which its links lead, and those from which links lead there.

        If there are more than `_MAX_NAMES`, the list is not complete.
        """
        real = self._inside(self._root / path)
        chains = [(name, frozenset[str]()) for name in {path, path if real is None else real}]
        for name, used in chains:
            parts = name.split("/")
            for depth in range(len(parts) + 1):
                for link in self._links.get("/".join(parts[:depth]), ()):
                    if link not in used:  # a link to a folder around it leads to itself
                        chains.append(("/".join([link, *parts[depth:]]), used | {link}))
            if len(chains) > _MAX_NAMES:
                break
        return [name for name, _ in chains]

    def _is_program(self, path: str) -> bool:
        """Whether the path is in the folder of programs of a virtual environment."""
        parts = path.split("/")
        return any(
            part.lower() in _PROGRAMS
            and os.path.lexists(self._root.joinpath(*parts[:depth], ENVIRONMENT_MARK))
            for depth, part in enumerate(parts)
        )

    def _find_links(self) -> dict[str, list[str]]:
        """The links in the workspace by the path to which they lead, those near the top first."""
        links: dict[str, list[str]] = {}
        for name in self._find_link_names():
            if (target := self._inside(self._root / name)) is not None and target != name:
                links.setdefault(target, []).append(name)
        return links

    def _find_link_names(self) -> Iterator[str]:
        waiting, count = deque([""]), 0
        while waiting and count < _MAX_ENTRIES:
            folder = waiting.popleft()
            try:
                with os.scandir(self._root / folder) as scanned:
                    entries = list(scanned)
            except OSError:
                continue
            count += len(entries)
            for entry in entries:
                name = f"{folder}/{entry.name}".lstrip("/")
                if entry.is_symlink():
                    yield name
                elif entry.is_dir(follow_symlinks=False) and entry.name not in _PACKAGES:
                    waiting.append(name)

    def _find_hooks(self) -> tuple[str, ...]:
        """The folder of git's hooks, with `/` at its end, if it is in the workspace."""
        if not any(
            os.path.lexists(folder / ".git") for folder in (self._root, *self._root.parents)
        ):
            return ()
        query = ("rev-parse", "--show-toplevel", "--git-path", "hooks")
        done = ask_git(self._root, *query, hooks=True)
        if done is None or done.returncode:
            return ()
        top, _, hooks = os.fsdecode(done.stdout).rstrip("\n").partition("\n")
        # git prints a relative path of the setting as it is, also below the top folder.
        folders = {self._inside(Path(base, hooks)) for base in (self._root, top)}
        return tuple(f"{folder}/".lstrip("/") for folder in folders if folder is not None)

    def _inside(self, path: Path) -> str | None:
        """The path without links, relative to the root; "" for the root, None if it is outside."""
        real = Path(os.path.realpath(path))
        inside = real.is_relative_to(self._root)
        return "/".join(real.relative_to(self._root).parts) if inside else None


def reason_to_ask(path: str) -> str:
    """The reason of the question about a change of `path`, in words for the user."""
    return f"other programs run or obey {path} later, outside of the sandbox"

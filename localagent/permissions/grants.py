"""The permission gate of a session, and the grants of a workspace.

A grant stores the answer "yes, and do not ask again about exactly this action". The grants of a
workspace are in one file, `grants/<hash of the workspace's path>.json`, in the user's config
folder. Repositories and sandboxed commands cannot write to this folder. A command line is granted
as its simple commands, each spelled exactly as in the line. A path is granted for reading or for
writing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localagent.core.atomic import write_atomic
from localagent.core.errors import UsageError, WorkspaceError
from localagent.core.events import MODES, Mode
from localagent.core.locks import locked
from localagent.core.paths import config_dir, private, workspace_key
from localagent.permissions.rules import Effect, Permissions, Ruling, normal_path
from localagent.permissions.shell_commands import verbatim_commands

_EFFECTS: tuple[Effect, ...] = ("read", "write", "execute")
_VERBS = {"read": "read", "write": "change", "execute": "run"}


@dataclass(frozen=True, slots=True)
class Grant:
    """One action that the user granted: read a path, change a path, or run a command."""

    effect: Effect
    subject: str

    def __str__(self) -> str:
        """The grant in words, such as "run make -j2"."""
        return f"{_VERBS[self.effect]} {self.subject}"


def exactly(effect: Effect, subject: str) -> tuple[Grant, ...]:
    """The grants that cover exactly one action; none for a command line that is not understood."""
    if effect != "execute":
        return (Grant(effect, normal_path(subject)),)
    commands = verbatim_commands(subject) or []
    return tuple(Grant(effect, command) for command in dict.fromkeys(commands))


class WorkspaceGrants:
    """The grants of one workspace. The file of grants is read again whenever it has changed."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = os.path.realpath(workspace)
        self._path = config_dir() / "grants" / f"{workspace_key(workspace)}.json"
        self._stamp: tuple[int, int, int] | None = None
        self._known: tuple[Grant, ...] = ()

    def all(self) -> tuple[Grant, ...]:
        """The grants, oldest first; none if the file cannot be read."""
        try:
            status = self._path.stat()
        except OSError:
            self._stamp, self._known = None, ()
            return ()
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        if stamp != self._stamp:
            self._stamp, self._known = stamp, self._read()
        return self._known

    def hold(self, effect: Effect, subject: str) -> bool:
        """Whether stored grants cover this action completely."""
        known = self.all()
        needed = exactly(effect, subject) if known else ()
        return bool(needed) and all(grant in known for grant in needed)

    def remember(self, effect: Effect, subject: str) -> tuple[Grant, ...]:
        """Store the grants that cover an action, and return these grants. Raises WorkspaceError."""
        grants = exactly(effect, subject)
        if grants:
            self._write(grants)
        return grants

    def forget(self, which: str) -> tuple[Grant, ...]:
        """Delete the grant `which`, or every grant if `which` is "all".

        `which` is the grant's number in the list `all()`, counted from 1, or the grant's text.
        Returns the deleted grants. Raises UsageError for an unknown grant, and WorkspaceError.
        """
        known = self.all()
        if which == "all":
            deleted = known
        elif which.isdigit() and 0 < int(which) <= len(known):
            deleted = (known[int(which) - 1],)
        else:
            deleted = tuple(g for g in known if which in (g.subject, str(g)))
        if not deleted and which != "all":
            hint = (
                "localagent permissions list shows all grants" if known else "nothing is remembered"
            )
            raise UsageError(f"{which!r} is not remembered for {self._workspace}", hint)
        self._write((), deleted)
        return deleted

    def _write(self, added: Sequence[Grant], deleted: Sequence[Grant] = ()) -> None:
        try:
            private(self._path.parent)
            with locked(self._path.with_suffix(".lock")):
                grants = [grant for grant in self.all() if grant not in deleted]
                grants += [grant for grant in added if grant not in grants]
                items = [{"effect": g.effect, "subject": g.subject} for g in grants]
                data = {"workspace": self._workspace, "grants": items}
                write_atomic(self._path, json.dumps(data, indent=1))
        except OSError as error:
            raise WorkspaceError(
                f"cannot write {self._path}: {error.strerror}",
                "check the free space and the permissions of localagent's config folder",
            ) from error

    def _read(self) -> tuple[Grant, ...]:
        try:
            data: Any = json.loads(self._path.read_bytes())
            # A file that names another workspace was copied here, so its grants do not count.
            if data["workspace"] != self._workspace:
                return ()
            items = [(item["effect"], item["subject"]) for item in data["grants"]]
        except (OSError, ValueError, KeyError, TypeError):
            return ()
        return tuple(Grant(e, s) for e, s in items if e in _EFFECTS and isinstance(s, str) and s)


class SessionGate:
    """Decides on a session's actions by its rules, mode, flags and grants.

    Implements `agent.turn.Gate`. `yes` is the flag --yes. `confined` means that a sandbox confines
    commands. `read_only` means that another session holds the workspace's lock.
    """

    def __init__(
        self,
        rules: Permissions,
        grants: WorkspaceGrants,
        *,
        mode: Mode = "ask",
        yes: bool = False,
        confined: bool = False,
        read_only: bool = False,
    ) -> None:
        self._rules = rules
        self.grants = grants
        self._mode: Mode = "ask"
        self._yes = yes
        self._confined = confined
        self._read_only = read_only
        self.set_mode(mode)

    @property
    def mode(self) -> Mode:
        """The session's present mode, which says what is allowed without a question."""
        return self._mode

    def possible(self) -> tuple[Mode, ...]:
        """The modes that this session can switch to."""
        return tuple(mode for mode in MODES if mode != "auto" or self._confined)

    def set_mode(self, mode: Mode) -> None:
        """Switch the mode, from any thread. Raises UsageError if `mode` is not possible."""
        if mode not in MODES:
            raise UsageError(f"unknown mode {mode!r}", f"the modes are: {', '.join(MODES)}")
        if mode not in self.possible():
            raise UsageError(
                f"the mode {mode} needs a sandbox, but no sandbox works here",
                "localagent doctor says why; the mode auto-edit asks before each command",
            )
        self._mode = mode

    def decide(
        self,
        tool: str,
        effect: Effect,
        subject: str,
        named: frozenset[str],
        *,
        entered: bool = False,
    ) -> Ruling:
        """Decide on one action. The parameters are those of `Permissions.decide`.

        The mode limits and frees the model. If the user `entered` the command, the mode is "ask".
        """
        return self._rules.decide(
            *(tool, effect, subject),
            named=named,
            yes=self._yes,
            confined=self._confined,
            read_only=self._read_only,
            mode="ask" if entered else self._mode,
            entered=entered,
        )

    def runs_later(self, path: str) -> bool:
        """Whether other programs run or obey the file at `path`."""
        return self._rules.runs_later(path)

    def rememberable(self, effect: Effect, subject: str) -> tuple[str, ...]:
        """The grants that `remember` would store for an action, in words."""
        if effect == "execute" and not self._confined:
            return ()  # without a sandbox, localagent asks for each command
        return tuple(str(grant) for grant in exactly(effect, subject))

    def remember(self, effect: Effect, subject: str) -> None:
        """Store the grants for an action that the user allowed for good. Raises WorkspaceError."""
        if self.rememberable(effect, subject):
            self.grants.remember(effect, subject)

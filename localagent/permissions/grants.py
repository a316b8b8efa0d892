"""What the user had remembered: "yes, and do not ask for exactly this again".

One file for each workspace in the user's config folder, where no repository and no command reaches:
`grants/<hash of the workspace's path>.json`. A command is remembered as the simple commands that it
consists of, each exactly as written; a path as exactly that path, for reading or for writing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localagent.core.atomic import write_atomic
from localagent.core.errors import UsageError, WorkspaceError
from localagent.core.locks import locked
from localagent.core.paths import config_dir, private
from localagent.permissions.rules import Effect, normal_path
from localagent.permissions.shell_commands import verbatim_commands

_EFFECTS: tuple[Effect, ...] = ("read", "write", "execute")
_WORDS = {"read": "read", "write": "change", "execute": "run"}


@dataclass(frozen=True, slots=True)
class Grant:
    """One thing that need not be asked: reading or changing a path, or running a command."""

    effect: Effect
    subject: str

    def __str__(self) -> str:
        """ "run make -j2"."""
        return f"{_WORDS[self.effect]} {self.subject}"


def exactly(effect: Effect, subject: str) -> tuple[Grant, ...]:
    """What would be remembered of an action; nothing for a command that is not understood."""
    if effect != "execute":
        return (Grant(effect, normal_path(subject)),)
    written = verbatim_commands(subject) or []
    return tuple(Grant(effect, command) for command in dict.fromkeys(written))


class WorkspaceGrants:
    """What is remembered for one workspace; the file is read anew when it changed."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = os.path.realpath(workspace)
        name = hashlib.sha256(os.fsencode(self._workspace)).hexdigest()[:32]
        self._path = config_dir() / "grants" / f"{name}.json"
        self._stamp: tuple[int, int, int] | None = None
        self._known: tuple[Grant, ...] = ()

    def all(self) -> tuple[Grant, ...]:
        """What is remembered, oldest first. A file that cannot be read holds nothing."""
        try:
            found = self._path.stat()
        except OSError:
            self._stamp, self._known = None, ()
            return ()
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        if stamp != self._stamp:
            self._stamp, self._known = stamp, self._read()
        return self._known

    def hold(self, effect: Effect, subject: str) -> bool:
        """See `permissions.Grants`."""
        known = self.all()
        wanted = exactly(effect, subject) if known else ()
        return bool(wanted) and all(grant in known for grant in wanted)

    def remember(self, effect: Effect, subject: str) -> tuple[Grant, ...]:
        """Remember an action; returns what is remembered of it, nothing for a command that is not
        understood. Raises WorkspaceError where the file cannot be written."""
        wanted = exactly(effect, subject)
        if wanted:
            self._write(wanted)
        return wanted

    def forget(self, which: str) -> tuple[Grant, ...]:
        """Forget the one with the number `which` (from 1, as `all` lists them) or that reads so;
        "all": every one. Returns what was forgotten.

        Raises UsageError where there is none such, WorkspaceError where the file cannot be written.
        """
        known = self.all()
        if which == "all":
            gone = known
        elif which.isdigit() and 0 < int(which) <= len(known):
            gone = (known[int(which) - 1],)
        else:
            gone = tuple(g for g in known if which in (g.subject, str(g)))
        if not gone and which != "all":
            hint = "localagent permissions list shows them" if known else "nothing is remembered"
            raise UsageError(f"{which!r} is not remembered for {self._workspace}", hint)
        self._write((), gone)
        return gone

    def _write(self, more: Sequence[Grant], without: Sequence[Grant] = ()) -> None:
        try:
            private(self._path.parent)
            with locked(self._path.with_suffix(".lock")):
                kept = [grant for grant in self.all() if grant not in without]
                kept += [grant for grant in more if grant not in kept]
                data = {
                    "workspace": self._workspace,
                    "grants": [{"effect": g.effect, "subject": g.subject} for g in kept],
                }
                write_atomic(self._path, json.dumps(data, indent=1))
        except OSError as error:
            raise WorkspaceError(
                f"cannot write {self._path}: {error.strerror}",
                "check the space and the permissions of localagent's config folder",
            ) from error

    def _read(self) -> tuple[Grant, ...]:
        try:
            data: Any = json.loads(self._path.read_bytes())
            # Two workspaces have one file only where their hashes collide, or it was copied.
            if data["workspace"] != self._workspace:
                return ()
            found = [(item["effect"], item["subject"]) for item in data["grants"]]
        except (OSError, ValueError, KeyError, TypeError):
            return ()
        return tuple(Grant(e, s) for e, s in found if e in _EFFECTS and isinstance(s, str) and s)

"""Let a command in namespaces write to no pipe of another program, by Landlock.

This module needs only the standard library, since it also runs inside of bwrap's namespaces: no
process can mount anything after Landlock confined it, so bwrap must come first.
"""

from __future__ import annotations

import os
import sys

from localagent.linux import landlock
from localagent.linux import syscalls as sys_

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def main() -> None:
    """Restrict writing to the folders before the argument "--"; execute the program after it."""
    end = sys.argv.index("--")
    restrict_writing(sys.argv[1:end])
    program = sys.argv[end + 1 :]
    os.execv(program[0], program)


def restrict_writing(folders: Iterable[str]) -> None:
    """Let this process write only below `folders` and /dev, if the kernel has Landlock.

    A read-only mount does not protect the pipes of other programs from writing.
    """
    try:
        if sys_.landlock_version() < landlock.VERSION_WITH_REFER:
            return
    except OSError:
        return
    rights = landlock.WRITE_FILE | landlock.REFER
    ruleset = sys_.landlock_ruleset(rights, 0, 0)
    for folder in (*folders, "/dev"):
        landlock.allow(ruleset, folder, rights)
    sys_.landlock_restrict(ruleset)
    os.close(ruleset)

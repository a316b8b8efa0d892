"""A line that begins with "#": a rule for the model, added to a rules file after a yes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from localagent.core.atomic import write_atomic
from localagent.core.errors import ConfigError, WorkspaceError
from localagent.core.paths import config_dir, private
from localagent.permissions.consent import RULES
from localagent.project import rules_file
from localagent.session.factory import use_project_files
from localagent.ui.chat.interface import Item, Output, PickerChoice

if TYPE_CHECKING:
    from localagent.ui.chat.chat import LiveChat

_CHOICES = (
    PickerChoice("user", "your rules", "for every project", key="u"),
    PickerChoice("project", "the project's rules", f"{RULES} in this folder", key="p"),
    PickerChoice("send", "no rule: send it to the model", "as a task", key="s"),
    PickerChoice("no", "neither", key="n"),
)


def is_rule(line: str) -> bool:
    """Return whether a line is a rule, and not a task that begins with a heading."""
    return line.startswith("#") and "\n" not in line and bool(line.strip("# "))


def add_rule(chat: LiveChat, line: str) -> Iterator[Item]:
    """Ask the user about a rule, and add it to the rules that come with every task."""
    rule = line.strip("# ")
    yield from chat.request("pick", title=f"Add {rule!r} to the model's rules?", choices=_CHOICES)
    answer = chat.response()
    if answer == "send":
        yield from chat.ask(line)
    elif answer == "project":
        if chat.status().read_only:
            raise WorkspaceError("another session is open in this folder", "this one only reads")
        rules_file.add_rule(chat.session.services.workspace, rule)
        chat.written.append(RULES)
        use_project_files(chat.session)
        yield Output("note", f"added to {RULES} of this folder")
    elif answer == "user":
        path = config_dir() / RULES
        try:
            private(path.parent)
            before = path.read_text(encoding="utf-8") if path.exists() else ""
            end = "" if not before or before.endswith("\n") else "\n"
            write_atomic(path, f"{before}{end}- {rule}\n", mode=None)
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror}") from None
        use_project_files(chat.session)
        yield Output("note", f"added to {path}")
    else:
        yield Output("note", "nothing was added")

"""Questions inside a session: may the project's rules, prompts, commands and plug-ins be used?

Each file is shown in full. A file is used only if the user agrees to exactly that text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from localagent.permissions.consent import MEANINGS, Consent, ProjectFile
from localagent.session.factory import use_project_files
from localagent.ui.chat.interface import Item, Output, PickerChoice

if TYPE_CHECKING:
    from localagent.ui.chat.chat import LiveChat

_CHOICES = (
    PickerChoice("later", "not now"),
    PickerChoice("yes", "use it, as it is now"),
    PickerChoice("no", "never, and do not ask again about this text"),
)


class TrustPrompt:
    """Asks about each text once in a session."""

    def __init__(self) -> None:
        self._asked: set[tuple[str, str]] = set()

    def ask(self, chat: LiveChat, *, again: bool = False) -> Iterator[Item]:
        """Ask about each file that has no answer; with `again`, also if the answer was "not now".

        The session uses the approved files from now on.
        """
        project = chat.session.project.reopen()
        consent = project.consent
        pending = [
            f for f in project.files.pending if again or (f.path, f.sha256) not in self._asked
        ]
        answered = False
        for file in pending:
            self._asked.add((file.path, file.sha256))
            yield from _file_output(consent, file)
            yield from chat.request("pick", title=f"Use {file.path}?", choices=_CHOICES)
            answer = chat.response()
            if answer == "yes":
                consent.agree(file)
                yield Output("note", f"{file.path} is used from now on")
            elif answer == "no":
                consent.refuse(file)
                yield Output("note", f"{file.path} is not used; /trust remove forgets this answer")
            else:
                yield Output("note", f"{file.path} is not used in this session; /trust asks again")
            answered |= answer in ("yes", "no")
        if answered:
            use_project_files(chat.session)
            chat.read_user_commands()


def _file_output(consent: Consent, file: ProjectFile) -> Iterator[Item]:
    difference = consent.difference(file)
    if difference:
        title = f"{file.path} has changed since your answer ({MEANINGS[file.kind]})"
        yield Output("diff", difference, title=title)
    else:
        title = f"this project brings {file.path} ({MEANINGS[file.kind]})"
        yield Output("text", file.text, title=title)

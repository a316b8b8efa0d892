"""Asking, inside a session, whether what its project brings may be used: its rules, prompts,
commands, tools and planners. Each file is shown as it is, and used only after a yes to exactly
that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from localagent.permissions.consent import MEANINGS, Consent, ProjectFile
from localagent.session.factory import use_project_files
from localagent.ui.chat.interface import Choice, Item, Output

if TYPE_CHECKING:
    from localagent.ui.chat.chat import LiveChat

_CHOICES = (
    Choice("later", "not now"),
    Choice("yes", "use it, as it is now"),
    Choice("no", "never, and do not ask again about this text"),
)


class TrustPrompt:
    """What was asked about in this session already is not asked again by itself."""

    def __init__(self) -> None:
        self._asked: set[tuple[str, str]] = set()

    def ask(self, chat: LiveChat, *, again: bool = False) -> Iterator[Item]:
        """Ask about each file that nothing was said on yet; with `again` also about those where
        the user said "not now". What he agrees to holds from now on."""
        project = chat.session.project.reopen()
        consent = project.consent
        wanted = [
            f for f in project.files.pending if again or (f.path, f.sha256) not in self._asked
        ]
        said = False
        for file in wanted:
            self._asked.add((file.path, file.sha256))
            yield from _shown(consent, file)
            yield from chat.request("pick", title=f"Use {file.path}?", choices=_CHOICES)
            answer = chat.response()
            if answer == "yes":
                consent.agree(file)
                yield Output("note", f"{file.path} is used from now on")
            elif answer == "no":
                consent.refuse(file)
                yield Output("note", f"{file.path} is not used; /trust remove takes that back")
            else:
                yield Output("note", f"{file.path} is not used in this session; /trust asks again")
            said |= answer in ("yes", "no")
        if said:
            use_project_files(chat.session)
            chat.read_own_commands()


def _shown(consent: Consent, file: ProjectFile) -> Iterator[Item]:
    difference = consent.difference(file)
    if difference:
        title = f"{file.path} has changed since you were asked ({MEANINGS[file.kind]})"
        yield Output("diff", difference, title=title)
    else:
        title = f"this project brings {file.path} ({MEANINGS[file.kind]})"
        yield Output("text", file.text, title=title)

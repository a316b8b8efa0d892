"""The `shell` tool: runs a command in a sandboxed snapshot of the workspace."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from localagent.core.changes import Change, deletion
from localagent.core.errors import ToolError
from localagent.core.messages import ToolResult
from localagent.core.path_names import MOST, listed, printable
from localagent.egress.blocked import BLOCKED, BlockedConnection
from localagent.permissions.shell_commands import simple_commands
from localagent.redaction.secret_files import is_secret
from localagent.redaction.unicode import without_escapes
from localagent.sandbox.base import Command, CommandResult, closed_port_hint
from localagent.tools.base import Action, Confirmation, ToolArguments, ToolContext, ToolSpec, parse
from localagent.workspace.git import adopt
from localagent.workspace.git.repositories import is_of_git, repositories

_MAX_DROPPED = 4
_LISTING_SECONDS = 60.0
_GIT = re.compile(r"(?:^|[;&|(\n])\s*git\s")
# The commands of git that create or move the branches and tags that they name.
_MOVES_REFS = re.compile(
    r"\s*git(?:\s+(?:-[cC]\s+\S+|-\S+))*\s+"
    r"(branch|tag|switch|checkout|update-ref|rebase|stash|fetch|worktree)\b"
)
_MAX_USER_CHARS = 100_000  # for the output of a command that the user entered


class ShellArguments(ToolArguments):
    """Arguments of `shell`; `body` is what /bin/sh runs."""

    body: str


class Shell:
    """Runs a command in a snapshot of the workspace, then applies its changes."""

    spec = ToolSpec(
        "shell",
        "execute",
        ShellArguments,
        "command",
        "body",
        aliases=(
            *("run_command", "run_shell", "execute_command", "run"),
            *("terminal", "exec"),
        ),
        body_aliases=("command", "cmd", "script", "code", "input"),
        fences=(
            *("bash", "sh", "zsh", "console", "shell-session", "powershell", "cmd"),
            "terminal",
        ),
        grammar='"shell\\n" body',
        verb="run",
    )

    def prepare(self, arguments: dict[str, str], context: ToolContext) -> Action:
        """See `Tool.prepare`."""
        given = parse(ShellArguments, self.spec.name, arguments)
        line = given.body.strip()
        if not line:
            raise ToolError("shell needs a command in its block")
        if "\0" in line:
            raise ToolError("a command cannot hold a zero byte")
        if mark := context.redactor.first_placeholder(line):
            raise ToolError(f"{mark} stands for something that is hidden from you; leave it out")
        return Action(
            tool=self.spec.name,
            effect="execute",
            subject=line,
            preview=f"$ {line}",
            perform=lambda: _run(line, context),
        )


def _run(line: str, context: ToolContext) -> ToolResult | Confirmation:
    root = context.workspace.root
    before = adopt.snapshot(root) if _calls_git(line) else None
    env = adopt.environment(root) if before is not None else {}
    with context.sandbox.open(root) as view:
        command = Command(line, seconds=context.shell_seconds, env=env)
        done = view.run(command, cancelled=context.cancelled)
        if before is not None and not done.cancelled:
            view.run(Command(adopt.LIST_INDEX, seconds=_LISTING_SECONDS, env=env))
        found = view.changes()
    if done.blocked:
        what, _, where = done.blocked.partition(" ")
        who = f"the command {context.redactor.redact(line)}"
        BLOCKED.record(BlockedConnection(what, where, "", who, time.time(), "sandbox"))
    # A git hook later runs outside the sandbox, so a sandboxed command must not write one.
    made = repositories(root, {change.path: change.kind != "absent" for change in found})
    others = [change for change in found if is_of_git(change.path, made)]
    rest = [change for change in found if not is_of_git(change.path, made)]
    run = _Run(line, done, rest, others, before)
    refused = _denied(rest, others, context.denies, root)
    held = [c for c in rest if c.path not in refused and _needs_answer(c, context)]
    if held and not done.cancelled:
        return Confirmation(
            tuple(held), lambda agreed: _finish(run, context, held if agreed else (), held)
        )
    return _finish(run, context)


@dataclass(frozen=True, slots=True)
class _Run:
    """A command that ran, and its changes.

    `of_git` are the changes of git's own files. `before` is the repository before the command, if
    the line calls git.
    """

    line: str
    done: CommandResult
    changes: Sequence[Change]
    of_git: Sequence[Change]
    before: adopt.GitSnapshot | None


def _needs_answer(change: Change, context: ToolContext) -> bool:
    """Whether the user must agree to the change."""
    return change.kind != "dir" and _may_be_confirmed(change.path, context)


def _may_be_confirmed(path: str, context: ToolContext) -> bool:
    """Whether other programs run the file later, or it may hold secrets, and no rule decides.

    Only a command that the user entered may write a file with secrets.
    """
    return (context.runs_later(path) or is_secret(path)) and context.asks(path)


def _finish(
    run: _Run, context: ToolContext, agreed: Sequence[Change] = (), asked: Sequence[Change] = ()
) -> ToolResult:
    """Keep the changes of a command, and report.

    The user was `asked` about some, and `agreed` to some of these.
    """
    line, done, rest, others, before = run.line, run.done, run.changes, run.of_git, run.before
    root = context.workspace.root
    kept = {change.path for change in agreed}
    held = {change.path for change in asked} - kept
    refused = _denied(rest, others, lambda path: path in held or context.denies(path), root)
    denied = [c.path for c in rest if c.path in refused and c.path not in held]
    changes = [change for change in rest if change.path not in refused]
    if changes and not done.cancelled:
        context.apply(_without_following(changes, root))
    if before is not None and not done.cancelled:
        git = adopt.adopt(
            *(root, before, others, line),
            lambda path: (
                context.denies(path) or (path not in kept and _may_be_confirmed(path, context))
            ),
            _ref_words(line),
        )
        nested = tuple(c.path for c in others if not c.path.startswith(".git/"))
        git = replace(git, left=(*git.left, *nested))
    else:
        git = adopt.Adoption(left=tuple(change.path for change in others))
    messages = _messages(done, changes, git, denied, root, context.runs_later)
    if held:
        names = listed([*map(printable, sorted(held))])
        messages += f"\nnot kept, as the user did not agree: {names}"
        messages = messages.lstrip()
    room = context.max_chars - len(messages) - 40
    # Redact before clipping: half of a secret has no recognizable form.
    whole = context.redactor.redact(without_escapes(done.output.strip("\n")))
    output = shortened(whole, max(room, 200))
    head = f"exit code {done.exit_code}"
    parts = [head, output, messages]
    person = f"$ {line}\n{head}, {done.seconds:.1f} s"
    if context.entered:
        shown = shortened(whole, _MAX_USER_CHARS)
        person = "\n".join(part for part in (shown, f"{head}, {done.seconds:.1f} s") if part)
    if context.entered and denied:  # the user can do what the rules refuse
        messages += "\ndo that in another terminal, or allow it by a rule: localagent docs config"
    ok = done.exit_code == 0 and not done.timed_out and not done.cancelled
    if (
        not ok
        and context.sandbox.confined
        and (hint := closed_port_hint(whole, context.sandbox.ports))
    ):
        messages = f"{messages}\n{hint}".lstrip()  # only for the user, who can allow it
    return ToolResult(
        ok, "\n".join(part for part in parts if part), f"{person}\n{messages}".rstrip()
    )


def _without_following(changes: Sequence[Change], root: Path) -> list[Change]:
    """The changes, with the deletion of each link that a file replaces.

    Otherwise the file's content would go to the link's target, which rules may protect.
    """
    result: list[Change] = []
    for change in changes:
        if change.kind == "file" and (root / change.path).is_symlink():
            result.append(deletion(change.path))
        result.append(change)
    return result


def _folders_above(paths: Iterable[str]) -> set[str]:
    """All folders above the paths, without the root."""
    folders: set[str] = set()
    for path in paths:
        while (path := path.rpartition("/")[0]) and path not in folders:
            folders.add(path)
    return folders


def _denied(
    changes: Sequence[Change],
    git: Sequence[Change],
    denies: Callable[[str], bool],
    root: Path,
) -> set[str]:
    """The paths of `changes` that are not kept.

    These are the paths that `denies` names, the folders around them, and everything below a refused
    entry in whose place a link or a file stays: a link would lead the change to another place,
    which no rule has judged. A folder is not removed or replaced if anything in it stays, such as a
    file of git's (`git`).
    """
    denied = {change.path for change in changes if denies(change.path)}
    around = _folders_above([*denied, *(change.path for change in git)])
    denied |= {c.path for c in changes if c.kind != "dir" and c.path in around}
    made = {change.path for change in changes} - denied
    folders = _folders_above(made)
    barred = {f for f in folders - made if _is_no_folder(root / f)}
    denied |= {path for path in made if not barred.isdisjoint(_folders_above([path]))}
    # A new folder with the name of a secret holds no secret, and the rules judge what is in it.
    needed = _folders_above(c.path for c in changes if c.path not in denied)
    return denied - {c.path for c in changes if c.kind == "dir" and c.path in needed}


def _is_no_folder(path: Path) -> bool:
    """Whether something other than a folder is at `path`, such as a link to a folder."""
    return os.path.lexists(path) and (path.is_symlink() or not path.is_dir())


def _calls_git(line: str) -> bool:
    """Whether the allowed command line itself runs git, not only a program that the line starts."""
    commands = simple_commands(line)
    if commands is None:
        return _GIT.search(line) is not None
    return any(command.split(" ", 1)[0] == "git" for command in commands)


def _ref_words(line: str) -> frozenset[str]:
    """The words of a line that may name a branch or a tag that its git commands move.

    A message names none: a hook could otherwise move the branch that `git commit -m` mentions.
    """
    commands = simple_commands(line)
    words: set[str] = set()
    for command in re.split(r"[;&|()\n]", line) if commands is None else commands:
        if match := _MOVES_REFS.match(command):
            words.update(re.split(r"[\s'\"=:^~]+", command[match.start(1) :]))
    return frozenset(words)


def _messages(
    done: CommandResult,
    changes: Sequence[Change],
    git: adopt.Adoption,
    denied: Sequence[str],
    root: Path,
    runs_later: Callable[[str], bool],
) -> str:
    """The messages that follow a command's output, one on each line."""
    lines = []
    if done.cancelled:
        lines.append("stopped by the user; the changes of the command were not kept")
    elif done.timed_out:
        lines.append(f"stopped after {done.seconds:.0f} s, the time limit")
    elif done.stopped:
        lines.append(f"stopped: {done.stopped}")
    elif done.is_missing:
        lines.append("the command was not found")
    if changes and not done.cancelled:
        names = [
            f"{printable(change.path)} (deleted)"
            if change.kind == "absent"
            else printable(change.path)
            for change in changes
            if change.kind != "dir"
        ]
        if names:
            lines.append(f"changed: {listed(names)}")
        later = [printable(c.path) for c in changes if c.kind != "dir" and runs_later(c.path)]
        if later:
            lines.append(f"other programs run or obey these later: {listed(later)}")
        links = [
            f"{printable(c.path)} to {printable(os.fsdecode(c.data))}"
            for c in changes
            if _leads_out(c, root)
        ]
        if links:
            lines.append(f"links out of the workspace: {listed(links)}")
    if git.kept:
        lines.append(f"git: {', '.join(git.kept[:MOST])}")
    if git.left:
        some = listed([*map(printable, git.left)], _MAX_DROPPED)
        lines.append(f"changes to git's own files were not kept: {some}")
    if denied:
        lines.append(f"not kept, as no tool may change it: {listed([*map(printable, denied)])}")
    return "\n".join(lines)


def _leads_out(change: Change, root: Path) -> bool:
    """Whether the change is a link that leads out of the workspace."""
    if change.kind != "symlink":
        return False
    place = os.path.normpath(Path(root, change.path).parent / os.fsdecode(change.data))
    return not Path(place).is_relative_to(root)


def shortened(text: str, max_chars: int) -> str:
    """`text`, or its first third and its end (where errors are) with a line about the gap.

    The cuts are at line ends, unless lines are too long.
    """
    if len(text) <= max_chars:
        return text
    room = max_chars - 60
    head = text[: room // 3]
    tail = text[len(text) - (room - room // 3) :]
    head = head[: head.rfind("\n")] if "\n" in head[len(head) // 2 :] else head
    at = tail.find("\n", 0, len(tail) // 2)
    tail = tail[at + 1 :] if at != -1 else tail
    left_out = text[len(head) : len(text) - len(tail)].strip("\n").count("\n") + 1
    return f"{head}\n… {left_out} lines left out …\n{tail}"

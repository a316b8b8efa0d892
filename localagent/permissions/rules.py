"""Rules and defaults that decide on each action before localagent takes it: allow, ask or deny.

A rule names a tool, a pattern and an action. The first matching rule of the user decides. A
project's rules can only narrow: the stricter decision holds, deny before ask before allow. Where no
rule matches, the defaults decide. No rule lifts the refusals in `_refusal`.

The session's mode changes which actions need no question, and never lifts a deny:

    plan        deny every change and every command
    auto-edit   allow edits
    auto        allow everything that no rule of the project asks for, inside of a sandbox

Localagent asks about secrets in each mode and with --yes. It denies them in "auto", and where no
user can answer. An action that the user granted for good (`Grants`) needs no question.

This gate says whether an action is allowed. What a command can reach is up to the sandbox alone,
because the text of a command does not say what it does.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, Protocol

from localagent.core.events import Mode
from localagent.permissions.shell_commands import simple_commands
from localagent.redaction.secret_files import is_secret
from localagent.workspace.gitignore import path_matches

RuleAction = Literal["allow", "ask", "deny"]
Effect = Literal["read", "write", "execute"]
# Who decided: the defaults, a rule of the user, a rule of the project, the flag --yes, the mode of
# the session, or a grant of the user.
By = Literal["default", "rule", "project", "flag", "mode", "remembered"]

CHECK_TOOL = "check"
# Longer lines that are not understood match every ask and deny rule: matching takes too long.
_MAX_LINE = 1 << 15
_STRICTNESS: dict[RuleAction, int] = {"allow": 0, "ask": 1, "deny": 2}
# Localagent never writes to git's own data and to its own settings.
_PROTECTED = (".git", ".localagent", "git~1", "locala~1")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; `[[permissions]]` in a settings file, with the keys tool, match and action.

    `tool` is a tool's name or "*". `pattern` is a glob: for a path as in .gitignore ("docs/**",
    "*.md", "/setup.py"), for a command on its words ("git status*", "npm test").
    """

    tool: str
    pattern: str
    action: RuleAction


@dataclass(frozen=True, slots=True)
class Ruling:
    """A decision, who made it, and the reason in words for the user."""

    action: RuleAction
    by: By
    reason: str


class Grants(Protocol):
    """The actions that the user allowed for good."""

    def hold(self, effect: Effect, subject: str) -> bool:
        """Whether exactly this action needs no question."""


class Permissions:
    """The rules of the user and of the project.

    `interactive` means that a user can answer; without one, a question about a secret becomes a
    deny, also with `yes`. `ignore_case` compares paths without case, as the file system does.
    """

    def __init__(
        self,
        rules: Sequence[Rule] = (),
        project_rules: Sequence[Rule] = (),
        *,
        interactive: bool = True,
        ignore_case: bool = os.name == "nt",
        secret: Callable[[str], bool] = is_secret,
        grants: Grants | None = None,
    ) -> None:
        self._rules = tuple(rules)
        self._project_rules = tuple(project_rules)
        self._interactive = interactive
        self._ignore_case = ignore_case
        self._secret = secret
        self._grants = grants

    def decide(
        self,
        tool: str,
        effect: Effect,
        subject: str,
        *,
        named: frozenset[str] = frozenset(),
        yes: bool = False,
        confined: bool = False,
        read_only: bool = False,
        mode: Mode = "ask",
    ) -> Ruling:
        """Decide on one action.

        `subject` is a path relative to the workspace or, for the effect "execute", a command
        line. `named` are the paths in the user's task. `yes` is the flag --yes: it answers
        questions and lifts no refusal. `confined` means that the sandbox confines commands,
        `read_only` that another session holds the workspace. `mode` is the session's.
        """
        if effect != "execute":
            subject = normal_path(subject)
        refusal = self._refusal(tool, effect, subject, read_only) or _plan_mode(tool, effect, mode)
        if refusal is not None:
            return refusal
        verdict = self._by_rules(tool, effect, subject, confined) or self._by_default(
            tool, effect, subject, named, confined
        )
        if verdict.action == "ask":
            verdict = self._eased(verdict, effect, subject, mode, confined)
        narrowed = self._narrowed(verdict, tool, effect, subject)
        if narrowed.action != "ask":
            return narrowed
        if self._is_secret(effect, subject):
            return self._about_a_secret(narrowed, mode)
        return Ruling("allow", "flag", "--yes was given") if yes else narrowed

    def _about_a_secret(self, verdict: Ruling, mode: Mode) -> Ruling:
        """--yes never covers secrets."""
        if not self._interactive:
            return Ruling("deny", verdict.by, f"{verdict.reason}, and nobody is there to ask")
        if mode == "auto":
            reason = f"{verdict.reason}, and the mode auto does not ask; another mode does"
            return Ruling("deny", verdict.by, reason)
        return verdict

    def _refusal(self, tool: str, effect: Effect, subject: str, read_only: bool) -> Ruling | None:
        """The refusals that no rule and no flag can lift."""
        if effect == "read":
            return None
        # A check runs in a view that is discarded, so it changes nothing.
        if read_only and tool != CHECK_TOOL:
            reason = "this session is read-only: another one holds the workspace"
            return Ruling("deny", "default", reason)
        if effect == "write":
            if subject == ".." or subject.startswith(("../", "/")):
                return Ruling("deny", "default", f"{subject} is outside the workspace")
            for part in subject.split("/"):
                if _plainest(part) in _PROTECTED:
                    reason = f"{part} is never changed through localagent"
                    return Ruling("deny", "default", reason)
        return None

    def _by_rules(self, tool: str, effect: Effect, subject: str, confined: bool) -> Ruling | None:
        for rule in self._rules:
            if self._matches(rule, tool, effect, subject):
                reason = f"your rule {rule.action} {rule.tool} {rule.pattern!r}"
                if rule.action == "allow" and effect == "execute" and not confined:
                    reason = f"there is no sandbox, so {reason} is not enough"
                    return Ruling("ask", "rule", reason)
                return Ruling(rule.action, "rule", reason)
        return None

    def _by_default(
        self, tool: str, effect: Effect, subject: str, named: frozenset[str], confined: bool
    ) -> Ruling:
        if effect == "execute":
            if not confined:
                return Ruling("ask", "default", "there is no sandbox on this machine")
            if tool == CHECK_TOOL:
                return Ruling("allow", "default", "a check, in a view that is thrown away")
            return Ruling("ask", "default", "commands are asked for")
        if self._secret(subject):
            reason = f"{subject} looks like it holds a secret"
            return Ruling("deny" if effect == "write" else "ask", "default", reason)
        if effect == "read":
            return Ruling("allow", "default", "reading in the workspace is allowed")
        if any(self._same_path(subject, path) for path in named):
            return Ruling("allow", "default", "you named it")
        return Ruling("ask", "default", "you did not name it")

    def _eased(
        self, verdict: Ruling, effect: Effect, subject: str, mode: Mode, confined: bool
    ) -> Ruling:
        """Allow what would be a question where a grant or the mode covers it."""
        if effect == "execute" and not confined:
            return verdict
        if self._grants is not None and self._grants.hold(effect, subject):
            return Ruling("allow", "remembered", "you said that this need not be asked")
        if self._is_secret(effect, subject):
            return verdict
        edits = effect == "write" and verdict.by == "default" and mode in ("auto-edit", "auto")
        if edits or (mode == "auto" and confined):
            return Ruling("allow", "mode", f"the mode is {mode}")
        return verdict

    def _narrowed(self, verdict: Ruling, tool: str, effect: Effect, subject: str) -> Ruling:
        for rule in self._project_rules:
            stricter = _STRICTNESS[rule.action] > _STRICTNESS[verdict.action]
            if stricter and self._matches(rule, tool, effect, subject):
                reason = f"the project's rule {rule.action} {rule.tool} {rule.pattern!r}"
                verdict = Ruling(rule.action, "project", reason)
        return verdict

    def _matches(self, rule: Rule, tool: str, effect: Effect, subject: str) -> bool:
        if rule.tool not in ("*", tool):
            return False
        if effect != "execute":
            return path_matches(rule.pattern, subject, ignore_case=self._ignore_case)
        return command_matches(rule.pattern, subject, every=rule.action == "allow")

    def _is_secret(self, effect: Effect, subject: str) -> bool:
        return effect != "execute" and self._secret(subject)

    def _same_path(self, one: str, other: str) -> bool:
        other = normal_path(other)
        return one.casefold() == other.casefold() if self._ignore_case else one == other


def _plainest(part: str) -> str:
    """A part of a path as the least exact file system reads it.

    HFS+ ignores case and invisible characters; NTFS ignores dots and blanks at the end, and takes
    the text after a colon for the name of a stream.
    """
    text = unicodedata.normalize("NFKC", part.partition(":")[0])
    visible = "".join(char for char in text if unicodedata.category(char) != "Cf")
    return visible.casefold().rstrip(" .")


def _plan_mode(tool: str, effect: Effect, mode: Mode) -> Ruling | None:
    """The refusal of the mode "plan". A check changes nothing, as its view is discarded."""
    if mode != "plan" or effect == "read" or tool == CHECK_TOOL:
        return None
    return Ruling("deny", "mode", "the mode is plan: reading and searching only")


def command_matches(pattern: str, line: str, *, every: bool) -> bool:
    """Whether the glob `pattern` matches the command line.

    With `every` (allow rules), each simple command must match, and a line that is not understood
    does not. Without (ask and deny rules), one command or the whole line is enough.
    """
    if pattern == "*":
        return True
    glob = _command_glob(pattern)
    commands = simple_commands(line)
    if every:
        return commands is not None and all(glob.fullmatch(command) for command in commands)
    if commands is None and len(line) > _MAX_LINE:
        return True
    whole = " ".join(line.split())
    return any(
        glob.fullmatch(text, place)
        for text in [whole, *(commands or _possible_commands(line))]
        for place in _starts(text, every_word=commands is None)
    )


def _possible_commands(line: str) -> Iterator[str]:
    """The parts of a line that is not understood. Each of their words may start a command, as in
    `if true; then rm x; fi` or `sh -c 'rm x'`."""
    for text in {line, line.replace("\\\n", "")}:
        for part in re.split(r"[;&|()`'\"\n{}<>!=]", text):
            yield " ".join(part.split())


def _starts(text: str, *, every_word: bool) -> Iterator[int]:
    """Where a command may start in `text`: also after the folder of a program ("/bin/rm")."""
    end = len(text) if every_word else text.find(" ") % (len(text) + 1)
    for word in re.finditer(r"[^ ]+", text[:end]):
        yield word.start()
        if (name := word[0].rfind("/") + 1) > 0:
            yield word.start() + name


@lru_cache(maxsize=256)
def _command_glob(pattern: str) -> re.Pattern[str]:
    """`*` stands for anything; "git status *" also matches "git status"."""
    words = " ".join(pattern.split())
    optional = words.endswith(" *")
    body = ".*".join(re.escape(part) for part in words.removesuffix(" *").split("*"))
    return re.compile(body + (r"(?: .*)?" if optional else ""), re.DOTALL)


def normal_path(path: str) -> str:
    """The path with `/` alone, without "." and doubled slashes; ".." is resolved as text."""
    parts: list[str] = []
    text = path.replace("\\", "/") if os.name == "nt" else path
    for part in text.split("/"):
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return ("/" if text.startswith("/") else "") + ("/".join(parts) or ".")

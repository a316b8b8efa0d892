"""Permission rules: decide whether an action is allowed, denied, or needs the user's answer.

A rule names a tool, a pattern and an action. The user's first matching rule decides; if none
matches, the defaults decide. A project's rules can only make the decision stricter: ask instead of
allow, or deny instead of ask. No rule can lift the refusals in `_refusal`.

The session's mode decides some actions without a question, but never lifts a deny:

    plan        deny every change and every command
    auto-edit   allow edits
    auto        in a sandbox, allow everything unless a rule of the project says "ask"

No mode allows edits of files that other programs run later (handoff.py).

Localagent asks about secrets in every mode, even with --yes. If no user can answer, or the mode is
"auto", it denies access to secrets. An action that the user granted (`Grants`) needs no question.

These rules only decide whether a command may run. The sandbox limits what the command can reach,
because the text of a command does not show what the command does.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Literal, Protocol

from localagent.core.events import Mode
from localagent.permissions.handoff import reason_to_ask, runs_later
from localagent.permissions.shell_commands import hides_a_program, simple_commands
from localagent.redaction.secret_files import is_secret
from localagent.workspace.gitignore import path_matches

RuleAction = Literal["allow", "ask", "deny"]
Effect = Literal["read", "write", "execute"]
# What decided: the defaults, a rule of the user, a rule of the project, the flag --yes, the mode of
# the session, or a grant of the user.
By = Literal["default", "rule", "project", "flag", "mode", "remembered"]

CHECK_TOOL = "check"
# A longer command line that is not understood matches every ask and deny rule, because comparing it
# with the patterns would take too long.
_MAX_LINE = 1 << 15
_STRICTNESS: dict[RuleAction, int] = {"allow": 0, "ask": 1, "deny": 2}
# Localagent never writes to git's own data or to its own settings.
_PROTECTED = (".git", ".localagent", "git~1", "locala~1")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: in a settings file, a table `[[permissions]]` with the keys tool, match and action.

    `tool` is a tool's name or "*". `pattern` is a glob. For a path, it is written as in .gitignore:
    "docs/**", "*.md", "/setup.py". For a command, it matches the words: "git status*", "npm test".
    """

    tool: str
    pattern: str
    action: RuleAction


@dataclass(frozen=True, slots=True)
class Ruling:
    """A decision, what decided, and the reason in words for the user."""

    action: RuleAction
    by: By
    reason: str


class Grants(Protocol):
    """The actions that the user granted, so that they need no question."""

    def hold(self, effect: Effect, subject: str) -> bool:
        """Whether the user granted exactly this action."""


class Permissions:
    """The rules of the user and of the project.

    `interactive` means that a user can answer questions. If it is False, a question about a secret
    becomes a deny, even with `yes`. `ignore_case` means that paths are compared without case, as
    some file systems do. `secret` says whether a path probably holds a secret. `protected` maps
    paths that no tool may change, with all that is below them, to reasons. `runs_later` says
    whether other programs run or obey the file at a path.
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
        protected: Mapping[str, str] = MappingProxyType({}),
        runs_later: Callable[[str], bool] = runs_later,
    ) -> None:
        self.runs_later = runs_later
        self._protected = dict(protected)
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
        entered: bool = False,
    ) -> Ruling:
        """Decide on one action.

        `subject` is a path relative to the workspace or, for the effect "execute", a command line.
        `named` are the paths that the user's task names. `yes` is the flag --yes, which answers
        questions but lifts no refusal. `confined` means that a sandbox confines commands.
        `read_only` means that another session holds the workspace's lock. `entered` means that a
        command that the user entered wrote the file.
        """
        if effect != "execute":
            subject = normal_path(subject)
        refusal = self._refusal(tool, effect, subject, read_only) or _plan_mode(tool, effect, mode)
        if refusal is not None:
            return refusal
        verdict = self._by_rules(tool, effect, subject, confined) or self._by_default(
            tool, effect, subject, named, confined, entered
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
        """The decision on a secret that needs a question. `--yes` does not answer it."""
        if not self._interactive:
            return Ruling("deny", verdict.by, f"{verdict.reason}, and no user can be asked")
        if mode == "auto":
            reason = f"{verdict.reason}, and the mode auto asks no questions; switch the mode"
            return Ruling("deny", verdict.by, reason)
        return verdict

    def _refusal(self, tool: str, effect: Effect, subject: str, read_only: bool) -> Ruling | None:
        """Refuse an action that no rule and no flag can allow; None for all other actions."""
        if effect == "read":
            return None
        # A check runs in an overlay that is discarded, so the check changes nothing.
        if read_only and tool != CHECK_TOOL:
            reason = "this session is read-only, because another session holds the workspace"
            return Ruling("deny", "default", reason)
        if effect == "write":
            if subject == ".." or subject.startswith(("../", "/")):
                return Ruling("deny", "default", f"{subject} is outside the workspace")
            if reason := never_changed(subject, self._protected):
                return Ruling("deny", "default", reason)
        return None

    def _by_rules(self, tool: str, effect: Effect, subject: str, confined: bool) -> Ruling | None:
        for rule in self._rules:
            if self._matches(rule, tool, effect, subject):
                reason = f"your rule {rule.action} {rule.tool} {rule.pattern!r}"
                if rule.action == "allow" and effect == "execute" and not confined:
                    reason = f"commands run without a sandbox, so {reason} is not enough"
                    return Ruling("ask", "rule", reason)
                return Ruling(rule.action, "rule", reason)
        return None

    def _by_default(
        self,
        tool: str,
        effect: Effect,
        subject: str,
        named: frozenset[str],
        confined: bool,
        entered: bool,
    ) -> Ruling:
        if effect == "execute":
            if not confined:
                return Ruling("ask", "default", "commands run without a sandbox")
            if tool == CHECK_TOOL:
                return Ruling("allow", "default", "a check runs in an overlay that is discarded")
            return Ruling("ask", "default", "commands need your consent")
        if self._secret(subject):
            reason = f"{subject} looks like it holds a secret"
            refused = effect == "write" and not entered
            return Ruling("deny" if refused else "ask", "default", reason)
        if effect == "read":
            return Ruling("allow", "default", "reading in the workspace is allowed")
        if any(self._same_path(subject, path) for path in named):
            return Ruling("allow", "default", "you named this file")
        return Ruling("ask", "default", "you did not name this file")

    def _eased(
        self, verdict: Ruling, effect: Effect, subject: str, mode: Mode, confined: bool
    ) -> Ruling:
        """Turn the decision "ask" into "allow" if a grant or the mode allows the action."""
        if effect == "execute" and not confined:
            return verdict
        if self._grants is not None and self._grants.hold(effect, subject):
            return Ruling("allow", "remembered", "you allowed this earlier, for this workspace")
        if self._is_secret(effect, subject):
            return verdict
        if effect == "write" and self.runs_later(subject):
            return Ruling("ask", verdict.by, reason_to_ask(subject))
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


def reading_denied(
    rules: Sequence[Rule], project_rules: Sequence[Rule]
) -> Callable[[str], bool] | None:
    """Whether a rule denies reading a path, as a function that can be pickled; None if no rule
    can."""
    if not any(r.action == "deny" and r.tool in ("*", "read") for r in (*rules, *project_rules)):
        return None
    return partial(_reading_denied, Permissions(rules, project_rules, secret=_is_public))


def _reading_denied(permissions: Permissions, path: str) -> bool:
    return permissions.decide("read", "read", path).action == "deny"


def _is_public(_path: str) -> bool:
    return False


def never_changed(path: str, protected: Mapping[str, str]) -> str:
    """The reason why nothing may change `path`, whatever the rules say; "" if there is none.

    `protected` maps paths to the reasons why nothing may change them or what is below them.
    """
    for part in path.split("/"):
        if _plainest(part) in _PROTECTED:
            return f"localagent never changes {part}"
    plain = f"{_plainest_path(path)}/"
    reasons = (
        why for each, why in protected.items() if plain.startswith(f"{_plainest_path(each)}/")
    )
    return next(reasons, "")


@lru_cache(maxsize=4096)
def _plainest_path(path: str) -> str:
    return "/".join(map(_plainest, path.split("/")))


def _plainest(part: str) -> str:
    """A part of a path, reduced to what every file system distinguishes.

    HFS+ ignores case and invisible characters. NTFS ignores dots and blanks at the end, and reads
    the text after a colon as the name of a stream.
    """
    text = unicodedata.normalize("NFKC", part.partition(":")[0])
    visible = "".join(char for char in text if unicodedata.category(char) != "Cf")
    return visible.casefold().rstrip(" .")


def _plan_mode(tool: str, effect: Effect, mode: Mode) -> Ruling | None:
    """Refuse changes and commands in the mode "plan"; None if the action is allowed there.

    A check is allowed, because its changes are discarded.
    """
    if mode != "plan" or effect == "read" or tool == CHECK_TOOL:
        return None
    return Ruling("deny", "mode", "the mode plan allows only reading and searching")


def command_matches(pattern: str, line: str, *, every: bool) -> bool:
    """Whether the glob `pattern` matches the command line.

    With `every` (allow rules), each simple command in the line must match; a line that is not
    understood never matches. Without `every` (ask and deny rules), it is enough that one command or
    the whole line matches.
    """
    if pattern == "*":
        return True
    glob = _command_glob(pattern)
    commands = simple_commands(line)
    if every:
        return commands is not None and all(glob.fullmatch(command) for command in commands)
    if commands is None and (len(line) > _MAX_LINE or hides_a_program(line)):
        return True
    whole = " ".join(line.split())
    return any(
        glob.fullmatch(text, place)
        for text in [whole, *(commands or _possible_commands(line))]
        for place in _starts(text, every_word=commands is None)
    )


def _possible_commands(line: str) -> Iterator[str]:
    """Split a command line that could not be parsed into parts, each perhaps a command.

    Any word of a part may start a command, as in `if true; then rm x; fi` or `sh -c 'rm x'`.
    """
    for text in {line, line.replace("\\\n", "")}:
        for part in re.split(r"[;&|()`'\"\n{}<>!=]", text):
            yield " ".join(part.split())


def _starts(text: str, *, every_word: bool) -> Iterator[int]:
    """The indices in `text` where a command may start.

    For "/bin/rm", these are the start of the path and the start of "rm".
    """
    end = len(text) if every_word else text.find(" ") % (len(text) + 1)
    for word in re.finditer(r"[^ ]+", text[:end]):
        yield word.start()
        if (name := word[0].rfind("/") + 1) > 0:
            yield word.start() + name


@lru_cache(maxsize=256)
def _command_glob(pattern: str) -> re.Pattern[str]:
    """Compile a command's glob: `*` matches any text, and "git status *" also "git status".

    All stars but the last match as little as possible, finally: a project's pattern with many stars
    takes no longer than others.
    """
    words = " ".join(pattern.split())
    optional = words.endswith(" *")
    first, *parts = (re.escape(part) for part in words.removesuffix(" *").split("*"))
    last = f".*{parts.pop()}" if parts else ""
    body = first + "".join(f"(?>.*?{part})" for part in parts) + last
    return re.compile(body + (r"(?: .*)?" if optional else ""), re.DOTALL)


def normal_path(path: str) -> str:
    """`path` with `/` as its only separator, without "." or double slashes.

    ".." removes the part before it, without a look at the file system.
    """
    parts: list[str] = []
    text = path.replace("\\", "/") if os.name == "nt" else path
    for part in text.split("/"):
        if part == ".." and parts and parts[-1] != "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return ("/" if text.startswith("/") else "") + ("/".join(parts) or ".")

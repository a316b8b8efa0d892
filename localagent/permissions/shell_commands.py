"""Taking a shell command line apart into its simple commands, for rules to be matched on.

This is no shell parser. It knows the operators that separate commands and the substitutions that
hide commands in words, and gives up on whatever else could run something; what it gives up on is
never allowed by a rule. The sandbox, not this, is what keeps a command in bounds.
"""

from __future__ import annotations

import re

_SEPARATORS = ("&&", "||", ";;", "|&", ";", "|", "&", "\n")
# Words after which another command follows, or which change what the words around them mean.
_RESERVED = frozenset(
    (
        *(
            "if",
            "then",
            "else",
            "elif",
            "fi",
            "for",
            "while",
            "until",
            "do",
            "done",
            "case",
            "esac",
        ),
        *("in", "function", "select", "coproc", "time", "{", "}", "!", "[["),
        *("eval", "exec", "source", ".", "command", "builtin", "trap", "alias", "env", "xargs"),
        *("sudo", "su", "doas", "nohup", "setsid", "nice", "timeout", "sh", "bash", "dash", "zsh"),
        *("ash", "ksh", "csh", "tcsh", "fish", "busybox", "parallel", "watch", "strace", "ltrace"),
        *("ionice", "stdbuf", "chrt", "taskset", "flock", "script", "unshare", "nsenter", "chroot"),
        *("runuser", "pkexec", "setpriv", "systemd-run", "fakeroot", "entr", "expect", "ssh"),
    )
)
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_MAX_DEPTH = 8
# What makes find run or delete something, and what makes git run what its settings name.
_OF_FIND = ("-exec", "-execdir", "-ok", "-okdir", "-delete")
_OF_GIT = re.compile(r"-c|-c.+|--config-env(=.*)?|--exec-path=.*")
_HARMLESS = ("user.", "color.", "core.quotepath=", "core.quotePath=")


class _NotUnderstood(Exception):
    """Something whose effect cannot be told from its text."""


def simple_commands(line: str) -> list[str] | None:
    """Every simple command that `line` would run, with its words separated by single spaces.

    Commands in subshells and substitutions are listed as well. None where the line is not
    understood: control structures, here-documents, redirections into files, assignments before a
    command, quotes that do not close, programs that run other programs.
    """
    try:
        found = _Splitter(line, 0).commands()
    except _NotUnderstood:
        return None
    return found or None


def written_commands(line: str) -> list[str] | None:
    """The simple commands of `line`, each exactly as it is written there, with its quotes and what
    is substituted in it. None as for `simple_commands`, and where commands are grouped.

    The words alone do not tell `rm '*'` from `rm *`.
    """
    splitter = _Splitter(line, 0)
    try:
        splitter.commands()
    except _NotUnderstood:
        return None
    return (splitter.written or None) if not splitter.grouped else None


class _Splitter:
    """`written` are the commands of the outermost level as they stand in the text; `grouped` says
    that some are in brackets."""

    def __init__(self, text: str, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise _NotUnderstood
        self._text = text
        self._depth = depth
        self._at = 0
        self._found: list[str] = []
        self._words: list[str] = []
        self._word: list[str] | None = None
        self._began = 0
        self.written: list[str] = []
        self.grouped = False

    def commands(self) -> list[str]:
        while self._at < len(self._text):
            self._step()
        self._end_command()
        return self._found

    def _step(self) -> None:
        text, char = self._text, self._text[self._at]
        separator = next((s for s in _SEPARATORS if text.startswith(s, self._at)), None)
        if separator is not None:
            self._end_command()
            self._at += len(separator)
            self._began = self._at
        elif char in " \t\r":
            self._end_word()
            self._at += 1
        elif char == "#" and self._word is None:
            end = text.find("\n", self._at)
            self._at = len(text) if end < 0 else end
        elif char == "(":
            if self._words or self._word is not None:
                raise _NotUnderstood  # a function, an array or an extended pattern
            self.grouped = True
            self._found += self._inner(self._closing(self._at + 1))
        elif char in "<>":
            self._redirection()
        elif char in ")":
            raise _NotUnderstood
        else:
            self._part_of_word(char)

    def _part_of_word(self, char: str) -> None:
        if self._word is None:
            self._word = []
        if char == "'":
            end = self._text.find("'", self._at + 1)
            if end < 0:
                raise _NotUnderstood
            self._word.append(self._text[self._at + 1 : end])
            self._at = end + 1
        elif char == '"':
            self._at += 1
            self._double_quoted()
        else:
            self._plain(char)

    def _double_quoted(self) -> None:
        while self._at < len(self._text):
            char = self._text[self._at]
            if char == '"':
                self._at += 1
                return
            self._plain(char)
        raise _NotUnderstood

    def _plain(self, char: str) -> None:
        """A character, an escape or a substitution, inside double quotes or outside."""
        assert self._word is not None
        if char == "\\":
            if self._at + 1 >= len(self._text):
                raise _NotUnderstood
            following = self._text[self._at + 1]
            self._word.append("" if following == "\n" else following)
            self._at += 2
        elif char == "`":
            end = self._text.find("`", self._at + 1)
            if end < 0 or "\\" in self._text[self._at : end]:
                raise _NotUnderstood
            self._found += self._inner(end)
            self._word.append("$()")
        elif self._text.startswith("$(", self._at):
            if self._text.startswith("$((", self._at):
                raise _NotUnderstood
            self._at += 1
            self._found += self._inner(self._closing(self._at + 1))
            self._word.append("$()")
        elif char == "$" and self._text[self._at + 1 : self._at + 2] in ("{", "'", '"'):
            raise _NotUnderstood
        else:
            self._word.append(char)
            self._at += 1

    def _inner(self, end: int) -> list[str]:
        """The commands between the bracket or quote at the current place and the one at `end`."""
        inside = self._text[self._at + 1 : end]
        self._at = end + 1
        return _Splitter(inside, self._depth + 1).commands()

    def _closing(self, start: int) -> int:
        """The place of the bracket that closes what is open at `start`."""
        depth, at, quote = 1, start, ""
        while at < len(self._text):
            char = self._text[at]
            if char == "\\" and quote != "'":
                at += 1
            elif quote:
                quote = "" if char == quote else quote
            elif char in "'\"":
                quote = char
            elif char == "(":
                depth += 1
            elif char == ")":
                depth -= 1
                if depth == 0:
                    return at
            at += 1
        raise _NotUnderstood

    def _redirection(self) -> None:
        """Output to a descriptor or to nowhere is harmless; everything else is not understood."""
        match = re.compile(r">&[12](?![0-9])|>>?[ \t]*/dev/null(?![^\s;|&)])").match(
            self._text, self._at
        )
        if match is None:
            raise _NotUnderstood
        if self._word is not None and "".join(self._word) in ("1", "2"):
            self._word = None  # the number of the descriptor
        self._end_word()
        self._at = match.end()

    def _end_word(self) -> None:
        if self._word is not None:
            self._words.append("".join(self._word))
            self._word = None

    def _end_command(self) -> None:
        self._end_word()
        words, self._words = self._words, []
        if not words:
            return
        name = words[0].rpartition("/")[2]
        if not words[0] or name in _RESERVED or _ASSIGNMENT.match(words[0]) or "$" in words[0]:
            raise _NotUnderstood
        if _runs_others(name, words[1:]):
            raise _NotUnderstood
        self._found.append(" ".join(words))
        self.written.append(self._text[self._began : self._at].strip())


def _runs_others(name: str, arguments: list[str]) -> bool:
    """Whether a program that does so only sometimes runs what its arguments name."""
    if name == "find":
        return any(argument in _OF_FIND for argument in arguments)
    if name != "git":
        return False
    for place, argument in enumerate(arguments):
        if not argument.startswith("-"):
            value = arguments[place - 1] == "-c" or arguments[place - 1] == "-C" if place else False
            if not value:
                return False  # the subcommand; what follows is its own
        elif _OF_GIT.fullmatch(argument):
            setting = argument[2:] or "".join(arguments[place + 1 : place + 2])
            if not argument.startswith("-c") or not setting.startswith(_HARMLESS):
                return True
    return False

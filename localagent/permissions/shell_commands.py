"""The simple commands of a shell command line, read with tree-sitter's grammar of bash.

Permission rules are matched against these commands. A line is "not understood" if it does not
parse, or if it contains a construct that this module does not handle. No allow rule matches such a
line, so localagent asks the user. The sandbox, not this module, limits what a command can do.

The grammar may parse a line differently than the shell. Each part of the line is therefore checked
again: outside of quotes, a word must not contain a character with a meaning for the shell, and only
blanks may stand between two parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_CHARS = 4096
"""The longest line that is parsed. The time grows with the square of the length: a line of 2,048
pipes takes 0.4 s."""
_MAX_DEPTH = 8
# Shell keywords, and programs that run a command given in their arguments.
_RUN_OTHERS = frozenset(
    (
        *("if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case"),
        *("esac", "in", "function", "select", "coproc", "time", "{", "}", "!", "[[", "eval"),
        *("exec", "source", ".", "command", "builtin", "trap", "alias", "env", "xargs", "sudo"),
        *("su", "doas", "nohup", "setsid", "nice", "timeout", "sh", "bash", "dash", "zsh"),
        *("ash", "ksh", "csh", "tcsh", "fish", "busybox", "parallel", "watch", "strace"),
        *("ltrace", "ionice", "stdbuf", "chrt", "taskset", "flock", "script", "unshare"),
        *("nsenter", "chroot", "runuser", "pkexec", "setpriv", "systemd-run", "fakeroot"),
        *("entr", "expect", "ssh"),
    )
)
_FIND_RUNS = ("-exec", "-execdir", "-ok", "-okdir", "-delete", "-fprint", "-fprint0", "-fprintf")
# Arguments with which a program runs other programs or writes to files of its arguments' choice.
_RUNS_BY_ARGUMENT = {
    "find": re.compile(rf"{'|'.join(_FIND_RUNS)}|-fls"),
    "sort": re.compile(r"-[a-zA-Z]*[oT].*|--o.*|--co.*|--t.*", re.DOTALL),
    "tar": re.compile(r"-[a-zA-Z]*[IF].*|--(?:us|checkpoint-|to-|inf|new-|rs|rm).*", re.DOTALL),
    "rg": re.compile(r"--(?:pre|hostname-bin).*", re.DOTALL),
    "man": re.compile(r"-[a-zA-Z]*[PH].*|--(?:pag|ht).*", re.DOTALL),
    "tree": re.compile(r"-[a-zA-Z]*o.*", re.DOTALL),
    "shuf": re.compile(r"-[a-zA-Z]*o.*|--o.*", re.DOTALL),
    "iconv": re.compile(r"-[a-zA-Z]*o.*|--o.*", re.DOTALL),
    "less": re.compile(r"-[^-]*[oOk].*|--[lL].*|\+.*", re.DOTALL),
    "fd": re.compile(r"-[a-zA-Z0-9]*[xX].*|--exec.*", re.DOTALL),
    "fdfind": re.compile(r"-[a-zA-Z0-9]*[xX].*|--exec.*", re.DOTALL),
    "date": re.compile(r"-[a-zA-Z]*s.*|--s.*", re.DOTALL),
    # bash evaluates the index of an array's element: a[$(rm x)]
    "printf": re.compile(r"-v.*", re.DOTALL),
    "test": re.compile(r"-[vR]"),
}
_KNOWN_BY_ARGUMENTS = frozenset((*_RUNS_BY_ARGUMENT, "git", "sed", "gsed", "uniq"))
# Options of git's subcommands that write to a file or start a program. git accepts the beginning of
# a long option, and several letters after one "-".
_GIT_WRITES = re.compile(
    r"--out.*|-[a-zA-Z0-9]*O.*|--ope.*|--ext.*|--textc.*|--upl.*|--rece.*|--exe.*"
    r"|-[ivqnfkr]*x.*|--run.*",
    re.DOTALL,
)
# Scripts of sed that only print, delete or substitute: "1,5p", "/x/d", "s/a/b/g".
_SED_HARMLESS = re.compile(
    r"(?:(?:\d+|\$|/[^/\n]*/)(?:,(?:\d+|\$|/[^/\n]*/))?)?!?[pdqQ=]?"
    r"|(?:\d+(?:,(?:\d+|\$))?)?s(?P<sign>[/|#,:])(?:\\.|(?!(?P=sign))[^\\\n])*(?P=sign)"
    r"(?:\\.|(?!(?P=sign))[^\\\n])*(?P=sign)[gpiI0-9]*"
)
_SED_OPTION = re.compile(r"-[nErsuz]+|--(?:quiet|silent|regexp-extended|null-data|posix|debug)")
# Options with which git may run a program that a setting names, and settings that name no program.
_GIT_RUNS = re.compile(r"-c|-c.+|--config-env(=.*)?|--exec-path=.*")
_GIT_HARMLESS = ("user.", "color.", "core.quotepath=", "core.quotePath=")

# Characters of a word that stand for other text, outside of quotes and in double quotes.
_PATTERN = re.compile(r"[*?\[{]")
_OPTION_OR_OPEN = ("", *"-*?[{$`\\")  # what an argument starts with that may become an option
_PLAIN_NAME = re.compile(r"(['\"]?)[A-Za-z0-9_./+:@%,=~^-]+\1")
_SHELLS = frozenset(("sh", "bash", "dash", "ash", "zsh", "ksh", "csh", "tcsh", "fish"))

_OPERATORS = ("&&", "||", ";", "|", "|&", "&", "\n")
_BRACKETS = ("(", ")", "$(", "`")
_GROUPS = ("list", "pipeline", "redirected_statement")
_STATEMENTS = ("command", "subshell", "file_redirect")
_NOTHING = re.compile("")
_BLANKS = re.compile(r"[ \t]*")
_BLANK_LINES = re.compile(r"[ \t\n]*")
_WORD = re.compile(r"(?!#)(?:[^\x00-\x20\x7f\\'\"`$;&|<>()]|\\[^\x00-\x1f])+")
_VARIABLE = re.compile(r"[ \t\n]*\$(?:[A-Za-z_][A-Za-z0-9_]*|[0-9?!#@*$-])")
_QUOTED = re.compile(r"(?:[^\\\"`$]|\\.)*", re.DOTALL)
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_HARMLESS_REDIRECTION = re.compile(r"[12]?>&[12]|[12&]?>>?[ \t]*/dev/null")


class _NotUnderstood(Exception):
    """The line contains a construct that this module does not handle."""


def simple_commands(line: str) -> list[str] | None:
    """Every simple command that `line` runs, without quotes, its words separated by one space.

    Commands in subshells and substitutions come before the command that contains them; "$()" stands
    for a substitution. Returns None for a line that is not understood: one with control structures,
    here-documents, redirections to files, assignments, or programs that run other programs.
    """
    reader = _read(line)
    return reader.commands if reader else None


def verbatim_commands(line: str) -> list[str] | None:
    """The simple commands of the outermost level, each spelled as in `line`, with its quotes.

    The quotes are kept because `rm '*'` differs from `rm *`. Returns None for a line that is not
    understood (see `simple_commands`), and for a line with a subshell.
    """
    reader = _read(line)
    return reader.verbatim() if reader and not reader.grouped else None


def hides_a_program(line: str) -> bool:
    """Whether a line that is not understood may run a program that its text does not name.

    The name may be put together, as in `r""m`, or come from a variable or from another program.
    """
    if len(line) > MAX_CHARS:
        return True
    from localagent.code.parser import parse

    try:
        source = line.replace("\\\n", "").encode()
    except UnicodeError:
        return True
    waiting = [parse("bash", source).root_node]
    while waiting:
        node = waiting.pop()
        if node.is_error or node.is_missing:
            return True
        text = source[node.start_byte : node.end_byte].decode()
        if node.type == "command_name" and not _PLAIN_NAME.fullmatch(text):
            return True
        if node.type == "command" and _runs_hidden(node, source):
            return True
        waiting += node.children
    return False


def _runs_hidden(command: Node, source: bytes) -> bool:
    """Whether a program that runs others may run one that the text does not name."""
    texts = [source[c.start_byte : c.end_byte].decode() for c in command.children]
    kinds = [child.type for child in command.children]
    if "command_name" not in kinds:
        return False
    start = kinds.index("command_name")
    name = texts[start].strip("'\"").rpartition("/")[2]
    if name not in _RUN_OTHERS:
        return False
    operands = 0
    for kind, text in zip(kinds[start + 1 :], texts[start + 1 :], strict=True):
        if kind.endswith("redirect") or _PLAIN_NAME.fullmatch(text.replace("{}", "_")):
            operands += not text.startswith("-")
        elif kind in ("raw_string", "string") and not {*"$`\\"} & {*text}:
            operands += 1
            if hides_a_program(text[1:-1]):
                return True
        else:
            return True
    return name in _SHELLS and not operands


def _read(line: str) -> _Reader | None:
    """Parse a line. Returns None if the line is not understood or has no command."""
    if len(line) > MAX_CHARS:
        return None
    if "\\\n" in line:
        # The shell joins lines at a backslash, but not in comments, in single quotes, or after
        # another backslash.
        if "#" in line or "'" in line or "\\\\" in line:
            return None
        line = line.replace("\\\n", "")
    from localagent.code.parser import parse  # loads a C library: only where a command is judged

    try:
        reader = _Reader(line.encode())
        reader.statements(parse("bash", reader.source).root_node, 0)
    except (_NotUnderstood, UnicodeError, RecursionError):
        return None
    return reader if reader.commands else None


class _Reader:
    """Collects the simple commands of one line. The methods may raise _NotUnderstood."""

    def __init__(self, source: bytes) -> None:
        self.source = source
        self.commands: list[str] = []
        self.grouped = False
        # Each command (True), operator or comment (False) of the outermost level: its first byte.
        self._bounds: list[tuple[int, bool]] = []

    def verbatim(self) -> list[str]:
        """The text of each command of the outermost level."""
        bounds = [*self._bounds, (len(self.source), False)]
        return [
            self._text(start, end).strip(" \t\n")
            for (start, is_command), (end, _) in pairwise(bounds)
            if is_command
        ]

    def statements(self, node: Node, depth: int) -> None:
        """Read all statements of a program, a group of commands or a substitution."""
        if depth > _MAX_DEPTH:
            raise _NotUnderstood
        for child in self._children(node, _BLANK_LINES):
            kind = child.type
            if child.start_byte != node.start_byte and kind in (*_GROUPS, *_STATEMENTS):
                _require(self._is_apart(child, " \t\n;&|(`"))
            if kind == "command":
                self._bound(child, depth, is_command=True)
                self._command(child, depth)
            elif kind in _GROUPS:
                self.statements(child, depth)
            elif kind == "subshell":
                self.grouped = self.grouped or depth == 0
                self.statements(child, depth + 1)
            elif kind == "file_redirect":
                self._redirection(child)
            elif kind == "comment":
                self._bound(child, depth)
                _require(self._text(child.start_byte - 1, child.start_byte) in ("", *" \t\n;&|("))
                _require("\n" not in self._text(child.start_byte, child.end_byte))
            elif kind in _OPERATORS:
                self._bound(child, depth)
            else:
                _require(kind in _BRACKETS)

    def _is_apart(self, node: Node, separators: str) -> bool:
        """Whether the shell begins a new word at a node that is not the first."""
        text = self._text(node.start_byte, node.end_byte)
        before = self._text(node.start_byte - 1, node.start_byte)
        return before in separators or (node.type == "file_redirect" and text[0] in "<>&")

    def _bound(self, node: Node, depth: int, *, is_command: bool = False) -> None:
        if depth == 0:
            self._bounds.append((node.start_byte, is_command))

    def _command(self, node: Node, depth: int) -> None:
        words = []
        opened: list[int] = []  # the words that may expand to options
        for child in self._children(node, _BLANKS):
            # The grammar takes `r''\m` for two words, and the shell for one.
            _require(child.start_byte == node.start_byte or self._is_apart(child, " \t"))
            if child.type == "file_redirect":
                self._redirection(child)
            elif child.type == "command_name":
                _require(len(child.children) == 1)
                words.append(self._word(child.children[0], depth))
            else:
                if self._may_become_option(child):
                    opened.append(len(words))
                words.append(self._word(child, depth))
        name = words[0].rpartition("/")[2] if words else ""
        _require(bool(name) and name not in _RUN_OTHERS and "$" not in words[0])
        _require(not _ASSIGNMENT.match(words[0]) and not _PATTERN.search(words[0]))
        _require(not _runs_others(name, words[1:]))
        # After "--", arguments are no options, except for `find`.
        end = words.index("--") if "--" in words and name != "find" else len(words)
        _require(name not in _KNOWN_BY_ARGUMENTS or all(place > end for place in opened))
        self.commands.append(" ".join(words))

    def _may_become_option(self, node: Node) -> bool:
        """Whether the shell may replace an argument by options that the line does not show.

        A pattern stands for file names, such as `-delete`, and a variable for any words.
        """
        parts = (node, *node.children)
        expands = any(part.type in ("simple_expansion", "command_substitution") for part in parts)
        if expands and node.type != "string":
            return True
        has_pattern = node.type in ("word", "concatenation") and any(
            part.type == "word" and _PATTERN.search(self._text(part.start_byte, part.end_byte))
            for part in parts
        )
        text = self._text(node.start_byte, node.end_byte)
        is_open = has_pattern or "$" in text or "`" in text
        return is_open and text.lstrip("'\"")[:1] in _OPTION_OR_OPEN

    def _redirection(self, node: Node) -> None:
        """Accept a redirection to a descriptor or to /dev/null, which changes no file."""
        text = self._text(node.start_byte, node.end_byte)
        _require(_HARMLESS_REDIRECTION.fullmatch(text) is not None)

    def _word(self, node: Node, depth: int) -> str:
        """A word without its quotes; "$()" stands for a substitution."""
        text = self._text(node.start_byte, node.end_byte)
        match node.type:
            case "word" | "number":
                _require(_WORD.fullmatch(text) is not None)
                return re.sub(r"\\(.)", r"\1", text)
            case "raw_string":
                _require(text[:1] == text[-1:] == "'" and text.count("'") == 2)
                return text[1:-1]
            case "string":
                return self._string(node, depth)
            case "concatenation":
                return "".join([self._word(c, depth) for c in self._children(node, _NOTHING)])
            case "simple_expansion":
                _require(_VARIABLE.fullmatch(text) is not None)
                return text
            case "command_substitution":
                # The shell reads "$((" as arithmetic, and removes backslashes between backquotes.
                _require(not text.startswith("$((") and not (text[0] == "`" and "\\" in text))
                self.statements(node, depth + 1)
                return "$()"
        raise _NotUnderstood

    def _string(self, node: Node, depth: int) -> str:
        """The value of a string in double quotes; "$()" stands for a substitution."""
        children = list(self._children(node, _BLANK_LINES))
        _require(len(children) >= 2 and children[0].type == children[-1].type == '"')
        parts = []
        for before, child in pairwise(children):
            parts.append(self._text(before.end_byte, child.start_byte))
            if child.type == "string_content":
                text = self._text(child.start_byte, child.end_byte)
                _require(_QUOTED.fullmatch(text) is not None)
                parts.append(re.sub(r"\\([$`\"\\])", r"\1", text))
            elif child is not children[-1]:
                _require(child.type in ("simple_expansion", "command_substitution"))
                parts.append(self._word(child, depth))
        return "".join(parts)

    def _children(self, node: Node, gap: re.Pattern[str]) -> Iterator[Node]:
        """The children of a node. All text outside of the children must match `gap`."""
        whole = node.parent is None
        at = 0 if whole else node.start_byte
        for child in node.children:
            _require(not child.is_missing and not child.is_error)
            _require(gap.fullmatch(self._text(at, child.start_byte)) is not None)
            at = child.end_byte
            yield child
        end = len(self.source) if whole else node.end_byte
        _require(gap.fullmatch(self._text(at, end)) is not None)

    def _text(self, start: int, end: int) -> str:
        return self.source[max(0, start) : end].decode()


def _require(understood: bool) -> None:
    if not understood:
        raise _NotUnderstood


def _runs_others(name: str, arguments: list[str]) -> bool:
    """Whether the arguments make a program run another one, delete, or write to a file."""
    if name == "tar" and arguments and not arguments[0].startswith("-"):
        arguments = [f"-{arguments[0]}", *arguments[1:]]
    if name == "uniq":
        return sum(not argument.startswith("-") for argument in arguments) > 1
    if pattern := _RUNS_BY_ARGUMENT.get(name):
        return any(pattern.fullmatch(argument) for argument in arguments)
    if name in ("sed", "gsed"):
        return not _is_harmless_sed(arguments)
    if name != "git":
        return False
    for place, argument in enumerate(arguments):
        if not argument.startswith("-"):
            if place == 0 or arguments[place - 1] not in ("-c", "-C"):
                # The subcommand of git; the options after it belong to it.
                return any(_GIT_WRITES.fullmatch(option) for option in arguments[place + 1 :])
        elif _GIT_RUNS.fullmatch(argument):
            setting = argument[2:] or "".join(arguments[place + 1 : place + 2])
            if not argument.startswith("-c") or not setting.startswith(_GIT_HARMLESS):
                return True
    return False


def _is_harmless_sed(arguments: list[str]) -> bool:
    """Whether sed only prints: its scripts can also write files and run commands."""
    scripts: list[str] = []
    files = False
    waiting = False  # the next argument is a script
    for argument in arguments:
        if waiting:
            scripts.append(argument)
            waiting = False
        elif argument in ("-e", "--expression"):
            waiting = True
        elif argument.startswith("-") and len(argument) > 1:
            if not _SED_OPTION.fullmatch(argument):
                return False
        elif not scripts and not files:
            scripts.append(argument)
            files = True
    return all(_SED_HARMLESS.fullmatch(script) for script in scripts)

"""Differential test of the rules on commands: what a rule decides, and what a shell really runs.

Every program that a line can name is a function of the shell that records its call, so nothing else
runs. A finding is a line that an allow rule allows although it runs another program, or that a deny
rule lets pass although it runs the denied program.

    python tests/doubles/shell_fuzz.py SHELL LINES [SEED]     for example: dash 100000 7
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from localagent.core.errors import SandboxError
from localagent.permissions.rules import command_matches
from localagent.sandbox.base import Command, Sandbox
from localagent.sandbox.select import CONFINING, choose

ALLOWED = ("ls*", "git status*", "echo*")
DENIED = "rm *"
_PROGRAMS = ("ls", "echo", "rm", "evil", "cat")
_PIECES = (
    *("ls", "ls -l", "git status", "echo a", "rm x", "evil", "evil x", "cat f", "git commit"),
    *(" ", " ", " ", " ", "\t", "\n", "\r", "\v", "\f", "\xa0", "\u2028", "\\\n", "\\", "\\\\"),
    *(";", "&", "&&", "|", "||", "|&", ";;", "!", "(", ")", "{ ", "}", "; }", "{", "((", "))"),
    *("'", "'", '"', '"', "`", "`", "$(", "$(", "${", "$((", "$'", '$"', "$x", "$@", "$", "${x}"),
    *("#", " #", "<", ">", ">>", "<<E\n", "\nE\n", "<<-E", "<<<", "2>&1", ">&1", "&>", ">|", "<>"),
    *("<(", ">(", "/dev/null", "1", "2", "=", "a=", "a=rm ", "x=evil", "+=", "*", "?", "[", "]"),
    *("~", "{a,b}", "{rm,x}", "r", "m", " x", "''", '""', "r''m", "[ab]", "^", "%", "@", "-", "--"),
    *(
        "if ",
        "then ",
        "fi",
        "do ",
        "done",
        "for i in a; ",
        "case a in ",
        "esac",
        "a) ",
        "[[ ",
        " ]]",
    ),
    *(
        "eval ",
        "exec ",
        "command ",
        "time ",
        "coproc ",
        "alias a=",
        "function f ",
        "f() ",
        ":",
        "é",
    ),
)
_COMMANDS = (
    *("ls", "ls -l", "git status", "echo a", "rm x", "evil x", "r''m x", "r\\m x", "$(echo rm) x"),
    *("echo $(ls)", 'echo "a $(rm x) b"', "echo `ls`", "ls 'a b'", 'ls "a"', "(ls)", "{ ls; }"),
    *("a=b ls", "! ls", "ls <<E\n$(rm x)\nE\n", "ls <<'E'\n$(ls)\nE\n", "if ls; then rm x; fi"),
)
_JOINTS = (
    ";",
    "\n",
    " && ",
    " || ",
    " | ",
    " & ",
    "",
    "",
    " ",
    "#",
    " #",
    "\r",
    "\\\n",
    " >/dev/null ",
)
_PRELUDE = """\
ulimit -t 20
FUNCNEST=30
w() { printf '%s %s\\n' "$N" "$1" >&9; }
git() { w "git $1"; }
"""


@dataclass(frozen=True)
class Finding:
    """A line, the rule that decided wrongly, and the program that ran."""

    line: str
    rule: str
    ran: str


def random_line(source: random.Random) -> str:
    """A line of pieces that shells and parsers may understand differently.

    Half of the lines are commands with a few pieces between them, so that more lines run.
    """
    if source.random() < 0.5:
        return "".join(source.choices(_PIECES, k=source.randint(2, 9)))
    parts = []
    for _ in range(source.randint(1, 3)):
        parts += [source.choice(_COMMANDS), *source.choices(_PIECES, k=source.randint(0, 2))]
        parts.append(source.choice(_JOINTS))
    line = "".join(parts)
    cut = source.randrange(len(line) + 1)
    return line[:cut] + source.choice(("", "", *_PIECES)) + line[cut:]


def findings(shell: str, lines: list[str], sandbox: Sandbox) -> Iterator[Finding]:
    """Run in `shell` each line that a rule lets pass, and yield what the rule did not foresee."""
    cases: list[tuple[str, bool, bool]] = []
    for line in lines:
        allowed = any(command_matches(rule, line, every=True) for rule in ALLOWED)
        passes = not command_matches(DENIED, line, every=False)
        if (allowed or passes) and "\0" not in line:
            cases.append((line, allowed, passes))
    for number, program in _run(shell, [line for line, *_ in cases], sandbox):
        line, allowed, passes = cases[number]
        if allowed and not program.startswith(("ls", "echo", "git status")):
            yield Finding(line, "allow", program)
        if passes and program == "rm":
            yield Finding(line, "deny", program)


def _run(shell: str, lines: list[str], sandbox: Sandbox) -> Iterator[tuple[int, str]]:
    """Run the lines, each in a shell of its own, and yield the number and program of each call."""
    script = [_PRELUDE, *(f"{name}() {{ w {name}; }}\n" for name in _PROGRAMS)]
    for number, line in enumerate(lines):
        quoted = line.replace("'", "'\\''")
        script.append(f"N={number}\n( eval '{quoted}' )\n")
    # Redirections of random lines write anywhere, so that the shell has to be confined.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "script").write_bytes("".join([*script, "wait\n"]).encode())
        start = f"env -i PATH=/nowhere LC_ALL=C.UTF-8 {shell} ./script"
        line = f"exec 9>&1 </dev/null >/dev/null 2>&1; exec {start}"
        with sandbox.open(Path(folder)) as snapshot:
            done = snapshot.run(Command(line, seconds=300.0, output_bytes=64 << 20))
        if done.timed_out or done.stopped:
            raise AssertionError(f"{shell} was stopped: {done.stopped or 'after 300 s'}")
        for row in done.output.splitlines():
            number, _, name = row.partition(" ")
            if number.isdigit():
                yield int(number), name


def confining() -> Sandbox:
    """The first sandbox of this machine that confines files. Raises SandboxError without one."""
    sandbox = choose().sandbox
    if sandbox.kind not in CONFINING:
        raise SandboxError("random lines need a sandbox that confines files")
    return sandbox


def main() -> int:
    """Fuzz one shell; print each finding and a count."""
    shell, count = sys.argv[1], int(sys.argv[2])
    source = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
    found: set[Finding] = set()
    sandbox = confining()
    for _ in range(0, count, 2000):
        lines = [random_line(source) for _ in range(min(2000, count))]
        for finding in findings(shell, lines, sandbox):
            if finding not in found:
                found.add(finding)
                sys.stdout.write(f"{finding.rule} {finding.ran} {finding.line!r}\n")
    sys.stdout.write(f"{os.path.basename(shell)}: {count} lines, {len(found)} findings\n")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())

"""The permission gate: rules, defaults and what no rule can lift."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from localagent.permissions.rules import Permissions, Rule, command_matches
from localagent.permissions.shell_commands import simple_commands, verbatim_commands
from localagent.workspace.gitignore import path_matches

# What the flags are, in the tests that are not about them.
CALM = {"confined": True}


def action(permissions: Permissions, tool: str, effect: str, subject: str, **flags: object) -> str:
    return permissions.decide(tool, effect, subject, **{**CALM, **flags}).action


# Defaults


@pytest.mark.parametrize(
    ("tool", "effect", "subject", "expected"),
    [
        ("read", "read", "src/main.py", "allow"),
        ("read", "read", ".env", "ask"),
        ("edit", "write", "src/main.py", "ask"),
        ("edit", "write", ".env", "deny"),
        ("edit", "write", ".git/config", "deny"),
        ("edit", "write", ".g\u200cit/config", "deny"),
        ("edit", "write", ".git./config", "deny"),
        ("edit", "write", ".git::$INDEX_ALLOCATION/config", "deny"),
        ("edit", "write", "GIT~1/config", "deny"),
        ("edit", "write", "\uff0e\uff47it/config", "deny"),
        ("edit", "write", ".gitignore", "ask"),
        ("edit", "write", "sub/.GIT/hooks/post-commit", "deny"),
        ("edit", "write", ".localagent/config.toml", "deny"),
        ("edit", "write", "src/../.git/config", "deny"),
        ("edit", "write", "../elsewhere", "deny"),
        ("edit", "write", "/etc/passwd", "deny"),
        ("shell", "execute", "make", "ask"),
        ("check", "execute", "make test", "allow"),
    ],
)
def test_defaults(tool: str, effect: str, subject: str, expected: str) -> None:
    assert action(Permissions(), tool, effect, subject) == expected


def test_a_named_file_may_be_written_under_any_spelling() -> None:
    named = frozenset({"./src//main.py"})
    verdict = Permissions().decide("edit", "write", "src/main.py", named=named)
    assert (verdict.action, verdict.reason) == ("allow", "you named this file")
    assert action(Permissions(), "edit", "write", "src/other.py", named=named) == "ask"


def test_case_counts_only_where_the_file_system_counts_it() -> None:
    named = frozenset({"SRC/Main.py"})
    assert action(Permissions(), "edit", "write", "src/main.py", named=named) == "ask"
    blind = Permissions(ignore_case=True)
    assert action(blind, "edit", "write", "src/main.py", named=named) == "allow"


def test_naming_a_secret_does_not_open_it() -> None:
    assert action(Permissions(), "edit", "write", ".env", named=frozenset({".env"})) == "deny"


def test_only_a_rule_of_the_user_opens_a_secret_to_writing() -> None:
    assert action(Permissions(), "edit", "write", ".env", yes=True, mode="auto") == "deny"
    assert action(Permissions([Rule("edit", ".env", "allow")]), "edit", "write", ".env") == "allow"
    project = Permissions(project_rules=[Rule("edit", ".env", "allow")])
    assert action(project, "edit", "write", ".env") == "deny"


def test_a_command_that_the_user_entered_may_ask_to_write_a_secret() -> None:
    for flags in ({}, {"yes": True}):
        assert action(Permissions(), "shell", "write", ".env", entered=True, **flags) == "ask"
    headless = Permissions(interactive=False)
    assert action(headless, "shell", "write", ".env", entered=True) == "deny"
    denied = Permissions([Rule("*", ".env", "deny")])
    assert action(denied, "shell", "write", ".env", entered=True) == "deny"


def test_headless_secrets_are_denied_and_other_questions_stay_questions() -> None:
    headless = Permissions(interactive=False)
    assert action(headless, "read", "read", ".env") == "deny"
    assert action(headless, "edit", "write", "src/main.py") == "ask"


def test_yes_answers_questions_and_lifts_no_refusal() -> None:
    permissions = Permissions([Rule("shell", "rm *", "deny")])
    assert permissions.decide("edit", "write", "a.py", yes=True).by == "flag"
    assert action(permissions, "shell", "execute", "make", yes=True) == "allow"
    assert action(permissions, "shell", "execute", "rm -rf .", yes=True) == "deny"
    assert action(permissions, "edit", "write", ".git/config", yes=True) == "deny"


def test_read_only_denies_writes_and_commands_but_not_reads_and_checks() -> None:
    permissions = Permissions([Rule("*", "*", "allow")])
    assert action(permissions, "edit", "write", "a.py", read_only=True, yes=True) == "deny"
    assert action(permissions, "shell", "execute", "make", read_only=True) == "deny"
    assert action(permissions, "read", "read", "a.py", read_only=True) == "allow"
    assert action(permissions, "check", "execute", "make", read_only=True) == "allow"


def test_without_a_sandbox_every_command_asks_unless_yes() -> None:
    permissions = Permissions([Rule("shell", "git status", "allow"), Rule("check", "*", "allow")])
    for tool, line in (("shell", "git status"), ("check", "pytest")):
        assert action(permissions, tool, "execute", line, confined=False) == "ask"
        assert action(permissions, tool, "execute", line, confined=False, yes=True) == "allow"
    assert action(permissions, "shell", "execute", "git status") == "allow"


# Rules


def test_the_first_rule_that_matches_decides() -> None:
    permissions = Permissions(
        [Rule("edit", "docs/**", "allow"), Rule("edit", "docs/api.md", "deny")]
    )
    assert action(permissions, "edit", "write", "docs/api.md") == "allow"


def test_a_project_narrows_and_never_widens() -> None:
    permissions = Permissions(
        [Rule("edit", "*.py", "allow"), Rule("edit", "*.lock", "deny")],
        [
            Rule("edit", "setup.py", "ask"),
            Rule("edit", "*.lock", "allow"),
            Rule("edit", "*.md", "allow"),
            Rule("read", "private/**", "deny"),
        ],
    )
    assert action(permissions, "edit", "write", "a.py") == "allow"
    verdict = permissions.decide("edit", "write", "setup.py")
    assert (verdict.action, verdict.by) == ("ask", "project")
    assert action(permissions, "edit", "write", "uv.lock") == "deny"
    assert action(permissions, "edit", "write", "README.md") == "ask"
    assert action(permissions, "read", "read", "private/x") == "deny"


def test_no_rule_opens_git_or_our_own_folder() -> None:
    permissions = Permissions([Rule("*", "*", "allow"), Rule("*", "**", "allow")])
    assert action(permissions, "edit", "write", ".git/config") == "deny"
    assert action(permissions, "edit", "write", ".localagent/config.toml") == "deny"


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("*.py", "a.py", True),
        ("*.py", "deep/a.py", True),
        ("/*.py", "deep/a.py", False),
        ("docs/*.md", "docs/a.md", True),
        ("docs/*.md", "docs/x/a.md", False),
        ("docs/**", "docs/x/a.md", True),
        ("docs/**", "docs", False),
        ("docs", "docs/x/a.md", True),
        ("docs/", "docs/x", True),
        ("docs/", "docs", False),
        ("**/test_*.py", "a/b/test_c.py", True),
        ("a/**/b", "a/b", True),
        ("a/**/b", "a/x/y/b", True),
        ("[ab].txt", "a.txt", True),
        ("[!ab].txt", "a.txt", False),
        ("a.txt", "a.txt\n", False),
        ("*.py", "a\nb.py", True),
    ],
)
def test_path_patterns(pattern: str, path: str, expected: bool) -> None:
    assert path_matches(pattern, path) is expected


def git_says(folder: Path, pattern: str, path: str) -> bool:
    (folder / ".gitignore").write_text(pattern + "\n")
    done = subprocess.run(["git", "check-ignore", "-q", "--no-index", path], cwd=folder)
    return done.returncode == 0


def test_path_patterns_agree_with_git(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path, check=True)
    patterns = ["*.py", "/a", "a/", "a/*", "a/**", "**/b", "a/**/b", "b", "a/b", "?", "[ab]c"]
    paths = ["a.py", "a/x.py", "a/b", "a/x/b", "x/a/b", "b", "x/b/c", "ac", "x/bc", "c"]
    for pattern in patterns:
        for path in paths:
            assert path_matches(pattern, path) == git_says(tmp_path, pattern, path), (pattern, path)


# Commands


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("git status", ["git status"]),
        ("git   'status'  -s # all", ["git status -s"]),
        ("a; b && c || d | e & f", ["a", "b", "c", "d", "e", "f"]),
        ("a\nb", ["a", "b"]),
        ("(a; b)", ["a", "b"]),
        ("echo $(rm -rf x)", ["rm -rf x", "echo $()"]),
        ('echo "$(rm x; ls)"', ["rm x", "ls", "echo $()"]),
        ("echo `rm x`", ["rm x", "echo $()"]),
        ("echo '$(rm x)'", ["echo $(rm x)"]),
        ("make 2>&1", ["make"]),
        ("make >/dev/null 2>/dev/null", ["make"]),
        ("echo 2", ["echo 2"]),
        ("a > out", None),
        ("a < in", None),
        ("a <<EOF\nx\nEOF", None),
        ("diff <(a) <(b)", None),
        ("x=1 make", None),
        ("for i in a; do rm $i; done", None),
        ("f() { rm x; }", None),
        ("eval 'rm x'", None),
        ("bash -c 'rm x'", None),
        ("/usr/bin/env rm x", None),
        ("$CMD x", None),
        ("echo ${x:=$(rm y)}", None),
        ("echo 'open", None),
        ('echo "open', None),
        ("echo $(open", None),
        ("a)", None),
        ("a >/dev/nullx", None),
        ("find . -name '*.py'", ["find . -name *.py"]),
        ("find . -exec rm {} +", None),
        ("find . -delete", None),
        ("git -C sub status", ["git -C sub status"]),
        ("git -c user.name=me commit", ["git -c user.name=me commit"]),
        ("git -c alias.x='!rm y' x", None),
        ("git -ccore.pager=evil log", None),
        ("git --config-env=core.editor=X commit", None),
        ("git commit -c HEAD", ["git commit -c HEAD"]),
        ("ls | xargs rm", None),
        ("watch rm x", None),
        ("''", None),
        ('"" rm x', None),
        ("", None),
        ("a#b; c", None),
        ("make \\\n  -j2", ["make -j2"]),
        ("r\\\nm x", ["rm x"]),
        ("a # b \\\nrm x", None),
        ("git log --author='A B' \"x $HOME\"", ["git log --author=A B x $HOME"]),
        ("make >/dev/null x", None),
        ("a\r", None),
        ("echo \x00", None),
        ("echo $'a'", None),
        ("echo $((1))", None),
        ("echo \ud800", None),
        ("echo " + "a" * 5000, None),
        ("$(" * 12 + "a" + ")" * 12, None),
        ("a && " * 700 + "a", ["a"] * 701),
    ],
)
def test_simple_commands(line: str, expected: list[str] | None) -> None:
    assert simple_commands(line) == expected


HOSTILE = [
    *"ab \n;|&()$`'\"\\<>#{}=!*?/1-\t\r\0[]~é",
    *("$(", "$((", "${", "$'", "<<E\n", "<<-", "<<<", "\nE\n", "[[ ", " ]]", "case a in ", "esac"),
    *("if ", "then ", " fi", "for x in ", "do ", "done", "@(", "<(", "((", "&&", "||", ";;", "=("),
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(HOSTILE), max_size=60).map("".join) | st.text(max_size=60))
def test_any_text_is_read_or_not_understood(line: str) -> None:
    for commands in (simple_commands(line), verbatim_commands(line)):
        assert commands is None or all(commands)


@pytest.mark.parametrize("part", HOSTILE)
def test_long_hostile_lines_are_judged_quickly(part: str) -> None:
    begin = time.process_time()
    for length in (4000, 40_000):
        for rule in (Rule("shell", "a *z", "deny"), Rule("shell", "a*", "allow")):
            line = f"x{part} " * (length // (len(part) + 2))
            assert action(Permissions([rule]), "shell", "execute", line) in ("ask", "deny")
    assert time.process_time() - begin < 5


def test_a_command_is_remembered_as_it_is_spelled() -> None:
    line = "make  'a b' 2>&1 && cat \"$x\" # why\n(ls)"
    assert verbatim_commands(line) is None
    assert verbatim_commands(line.replace("(ls)", "ls | wc -l &")) == [
        *("make  'a b' 2>&1", 'cat "$x"', "ls", "wc -l")
    ]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                *(
                    "$(",
                    ")",
                    "safe",
                    " evil ",
                    "&&",
                    "||",
                    "$",
                    "\\\n",
                    "2>&1",
                    *"ab;|&()`'\"\\#\n ",
                ),
                *("safe ", "<<E", "\nE\n", "\t", *"{}=!", "[[", ">/dev/null", "\nevil"),
            ]
        ),
        max_size=12,
    ).map("".join)
)
def test_what_is_allowed_runs_nothing_else(line: str) -> None:
    """Real shells must not run `evil` where the rule for `safe` allows a line."""
    if not command_matches("safe*", line, every=True):
        return
    functions = "evil() { echo RAN-EVIL >&3; }; safe() { :; }; "
    script = f"exec 3>&1 >/dev/null 2>/dev/null; PATH=/nowhere; {functions}\n{line}"
    for shell in filter(None, map(shutil.which, ("sh", "bash"))):
        done = subprocess.run([shell, "-c", script], stdout=subprocess.PIPE, timeout=20)
        assert b"RAN-EVIL" not in done.stdout, line


AROUND = [
    *("ls; @", "@; ls", "ls && @", "ls || @", "ls | @", "ls & @", "ls\n@", "(ls; @)", "{ @; }"),
    *("echo $(@)", 'echo "$(@)"', "sh -c '@'", 'bash -c "@"', "env A=1 @", "A=1 @", "ls | xargs @"),
    *("nice @", "timeout 5 @", "sudo -u me @", "nohup @", "! @", "time @", "exec @", "eval '@'"),
    *("find . -exec @ +", "if true; then @; fi", "for i in a; do @; done", "f() { @; }", "@ > out"),
    *("@ 2>&1", "@ < in", "git -c alias.x='!@' status", "watch '@'", "busybox @", "cat <(@)"),
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(AROUND), max_size=4), st.sampled_from(["rm x", "/bin/rm -rf ."]))
def test_a_denied_command_is_denied_in_whatever_it_is_put(around: list[str], line: str) -> None:
    for form in around:
        line = form.replace("@", line)
    denied = Permissions([Rule("shell", "rm *", "deny"), Rule("shell", "*", "allow")])
    assert action(denied, "shell", "execute", line) == "deny"
    freed = [Rule("shell", f"{name} *", "allow") for name in ("ls", "echo", "git", "find", "cat")]
    assert action(Permissions(freed), "shell", "execute", line) == "ask"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("git status", "allow"),
        ("git status -s", "allow"),
        ("git statusx", "ask"),
        ("git status; rm -rf .", "deny"),
        ("git status && curl evil", "ask"),
        ("git status $(rm x)", "deny"),
        ("git status > .git/config", "ask"),
        ("if true; then rm x; fi", "deny"),
        ("sh -c 'rm x'", "deny"),
        ("if true; then ls; fi", "ask"),
        ("rm x > out", "deny"),
        ("echo hi; rm x > out", "deny"),
        ("/bin/rm x", "deny"),
        ("ls; ../bin/rm x", "deny"),
        ("'rm' x", "deny"),
        ("\\rm x", "deny"),
        ("find . -exec rm {} +", "deny"),
        ("ls | xargs -n1 rm", "deny"),
        ("git -c alias.x='!rm y' x", "deny"),
        ("A=1 B=2 rm x", "deny"),
        ("A=$(rm x)", "deny"),
        ("sudo -u me rm x", "deny"),
        ("git status -rm", "allow"),
    ],
)
def test_command_rules(line: str, expected: str) -> None:
    permissions = Permissions(
        [Rule("shell", "rm *", "deny"), Rule("shell", "git status *", "allow")]
    )
    assert action(permissions, "shell", "execute", line) == expected

"""Programs whose arguments run other programs or write files are not understood, so asked about."""

from __future__ import annotations

import pytest

from localagent.permissions.shell_commands import simple_commands


@pytest.mark.parametrize(
    "line",
    [
        *("git diff --output=f", "git log --output f", "git grep -Oless x", "git diff --ext-diff"),
        *("git rebase -x 'touch f' main", "git bisect run ./x --run", "git fetch --upload-pack=x"),
        *("find . -fprintf f x", "find . -fls f", "find . -fprint0 f", "find . -delete"),
        *("sort -o f x", "sort -ro f x", "sort --output=f x", "sort --compress-program=sh x"),
        *("tar -xf a --checkpoint-action=exec=sh", "tar cf a --to-command=sh", "tar -I sh -xf a"),
        *("sed '1e touch f' x", "sed 'w f' x", "sed s/a/b/w x", "sed 's/a/b/e' x", "sed -f s x"),
        *("sed -e p -e 'w f' x", "sed -n '1,5w f' x", "sed -i s/a/b/ x", "rg --pre sh x"),
        *("sed 's/a/b/;w f' x", "sed 's/a/b/\nw f' x", "man -P sh ls", "man --pager=sh ls"),
        *("git status\r#; touch f", "ls 2>&1#$(touch f)", "ls\r#; rm x", "ls\x0b;touch f"),
    ],
)
def test_asked_about(line: str) -> None:
    assert simple_commands(line) is None


@pytest.mark.parametrize(
    "line",
    [
        *("git diff --stat", "git log --oneline -5", "git grep -n x", "find . -name '*.py'"),
        *("sort -rn x", "sort -u -k2 x", "tar tf a.tar", "tar -xzf a.tar", "sed -n 1,5p x"),
        *("sed s/a/b/g x", "sed -E 's|a|b|' x y", "sed -n '/def /p' x", "sed -e p -e 3d x"),
        *("rg -n x src", "man ls"),
    ],
)
def test_understood(line: str) -> None:
    assert simple_commands(line) == [line.replace("'", "")]


def test_a_comment_in_a_substitution_hides_no_command() -> None:
    line = "ls $(ls # )\"\ntouch f #\n)'\"' # '"
    assert "touch f" in (simple_commands(line) or ["touch f"])

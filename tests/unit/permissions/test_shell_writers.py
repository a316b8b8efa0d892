"""Programs whose arguments run other programs or write files are not understood, so asked about."""

from __future__ import annotations

import pytest

from localagent.permissions.rules import command_matches
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
        *(
            "git grep -nOless x",
            "git grep --open-files=less x",
            "git diff --ext-d",
            "sort --co=sh x",
        ),
        *("tar xIf sh a", "tar --us=sh -xf a", "tree -o f", "uniq a f", "shuf -of a", "less -of a"),
        *("fd -x rm", "date -s x", "printf -v 'a[$(touch f)]' x", "test -v 'a[$(touch f)]'"),
        *(
            "git log *",
            "git log $X",
            'git log "$X"',
            "git log $(cat x)",
            "find . -delet[e]",
            "sort *",
        ),
        *("find . -ex{ec,} id", "sort {-o,f} x", "git -{c,p} x", "rg --pr? x y", "sed -n 1p *"),
        *(
            "find . -- *",
            "/bin/r[m] x",
            "r{m,} x",
            "r* x",
            "git status\r#; touch f",
            "ls 2>&1#$(touch f)",
            "ls\r#; rm x",
            "ls\x0b;touch f",
        ),
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
        *("rg -n x src", "man ls", "git diff -- *.py", "sort src/*.txt", "wc *.py", "ls {a,b}"),
        *("uniq -c a", "tar xzf a.tar", "tree -L 2", "find src*/x -name y", "sed -n 1p src/*"),
    ],
)
def test_understood(line: str) -> None:
    assert simple_commands(line) == [line.replace("'", "")]


@pytest.mark.parametrize(
    ("line", "commands"),
    [
        *(("ls>/dev/null", ["ls"]), ("ls 2>&1|wc -l", ["ls", "wc -l"]), ("ls;ls", ["ls", "ls"])),
        *(("(ls)&&ls", ["ls", "ls"]), ("echo $(ls)", ["ls", "echo $()"])),
        *(("ls 'a'\"b\"c", ["ls abc"]), ("a 2>&1>/dev/null", ["a"]), ("ls ''2>&1", ["ls 2"])),
    ],
)
def test_words_and_commands_side_by_side(line: str, commands: list[str]) -> None:
    assert simple_commands(line) == commands


def test_a_comment_in_a_substitution_hides_no_command() -> None:
    line = "ls $(ls # )\"\ntouch f #\n)'\"' # '"
    assert "touch f" in (simple_commands(line) or ["touch f"])


@pytest.mark.parametrize(
    "line",
    [
        *(
            "/bin/r[m] x",
            "r{m,} x",
            "X=r; $X f",
            "$(echo r)m x",
            'r""m x > y',
            "r${u}m x",
            "r``m x",
        ),
        *("if :; then r\\m x; fi", "a=1 r'm' f", "eval 'r''m x'", "timeout 5 r\\m x", "sh < f"),
        *("sh -c 'r\\m x'", 'env "$X" f', 'for f in a; do r""m f; done', f'r""m {"a" * 5000} >y'),
        *("if then", "alias x='r''m'; x f", "cat f | sh"),
    ],
)
def test_a_program_that_the_line_does_not_name_may_be_any(line: str) -> None:
    assert command_matches("rm *", line, every=False)
    assert not command_matches("*m *", line, every=True)


@pytest.mark.parametrize(
    "line",
    [
        *('for f in *.py; do wc "$f"; done', "cat > f <<'E'\na $b r\"\"m\nE", "make > log 2>&1"),
        *("if [ -f x ]; then ls; fi", "A=1 make", "find . | xargs -I{} wc {}", "sh -c 'ls -l'"),
        *(
            'sh ./x.sh "a b"',
            "timeout 5 make test",
            "time make",
            "while read -r x; do ls; done < f",
        ),
    ],
)
def test_a_rule_denies_no_line_that_names_other_programs(line: str) -> None:
    assert not command_matches("rm *", line, every=False)

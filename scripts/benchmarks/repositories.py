"""Copies of git repositories at a commit, and the tests that run in them."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

_RESULT = re.compile(r"^(?:FAILED|ERROR) (\S+::.*?)(?: - .*)?$", re.M)
_LIST = ("-p", "no:cacheprovider", "--tb=no", "-rfE")


def git(folder: Path, *words: str) -> str:
    """The output of a git command in `folder`. Raises CalledProcessError."""
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, check=True)
    return done.stdout.decode("utf-8", "replace")


@contextmanager
def copy_of(repository: Path, commit: str) -> Iterator[Path]:
    """A temporary copy of a repository at a commit, whose history ends there."""
    with TemporaryDirectory(prefix="bench-") as temporary:
        tree = Path(temporary) / "tree"
        git(repository, "clone", "--quiet", "--shared", "--no-checkout", str(repository), str(tree))
        git(tree, "checkout", "--quiet", "--detach", commit)
        git(tree, "remote", "remove", "origin")
        for branch in git(tree, "branch", "--format=%(refname:short)").split("\n"):
            if branch and not branch.startswith("("):
                git(tree, "branch", "--quiet", "-D", branch)
        yield tree


@dataclass(frozen=True)
class TestRun:
    """One run of a test command: the exit code, and the ids of the failed tests."""

    exit_code: int
    failed: tuple[str, ...]


def environment(python: str) -> dict[str, str]:
    """The variables of a shell in which the virtual environment of an interpreter is active."""
    programs = Path(python).absolute().parent
    return {
        **{k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")},
        "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "VIRTUAL_ENV": str(programs.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def run_tests(tree: Path, python: str, words: Sequence[str], seconds: float) -> TestRun | None:
    """Run pytest with `words` in a copy; None if the time limit ended it."""
    command = [python, "-m", "pytest", "-q", *_LIST, *words]
    try:
        done = subprocess.run(
            command, cwd=tree, env=environment(python), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", timeout=seconds, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    return TestRun(done.returncode, tuple(dict.fromkeys(_RESULT.findall(done.stdout))))

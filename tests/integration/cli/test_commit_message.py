"""`localagent commit-message` as a command and as git's hook: real git, a scripted model."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.edits.textfile import sha256
from localagent.history.audit.log import records, sessions
from localagent.history.audit.verify import verify

ROOT = Path(__file__).resolve().parents[3]
Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]


def called(folder: Path, *words: str, **env: str) -> Done:
    return subprocess.run(
        words,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def git(folder: Path, *words: str, **env: str) -> str:
    done = called(folder, "git", *words, **env)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def repository(workspace_dir: Path) -> Path:
    """The small project, committed, with the sign in add corrected and staged."""
    git(workspace_dir, "init", "-q")
    git(workspace_dir, "add", ".")
    git(workspace_dir, "commit", "-qm", "first")
    (workspace_dir / "calc.py").write_text("def add(a, b):\n    return a + b\n")
    git(workspace_dir, "add", ".")
    return workspace_dir


@pytest.fixture
def replies(tmp_path: Path) -> str:
    path = tmp_path / "replies.txt"
    path.write_text("--- reply repeat = true\nHere is the message:\n```\nFixed the sign.\n```\n")
    return str(path)


def write(folder: Path, *words: str, **env: str) -> Done:
    return called(folder, sys.executable, "-m", "localagent", "commit-message", *words, **env)


def test_the_message_is_printed_and_nothing_else(repository: Path, replies: str) -> None:
    done = write(repository, "--scripted", replies)
    assert (done.returncode, done.stdout, done.stderr) == (0, "Fix the sign\n", "")


def of_type(found: list, kind: str) -> list[dict]:
    return [record for record in found if record["type"] == kind]


def test_what_the_model_is_shown_is_in_the_audit_log(repository: Path, replies: str) -> None:
    (repository / "new.py").write_text("new = 1\n")
    (repository / "logo.png").write_bytes(b"\0\1\2" * 50)
    (repository / ".env").write_text("PASSWORD=1\n")
    git(repository, "mv", "calc_test.py", "calc_tests.py")
    git(repository, "add", "-f", ".")
    (repository / "new.py").write_text("not staged\n")
    assert write(repository, "--scripted", replies).returncode == 0
    (logged,) = sessions()
    found = records(logged.session)
    (began,) = of_type(found, "session")
    assert found[0] == began
    assert (began["workspace"], began["model"]) == (str(repository), "scripted")
    old, now = b"def add(a, b):\n    return a - b\n", b"def add(a, b):\n    return a + b\n"
    assert {(r["path"], r["sha256"]) for r in of_type(found, "read")} == {
        *(("calc.py", sha256(old)), ("calc.py", sha256(now)), ("new.py", sha256(b"new = 1\n"))),
    }
    (asked,), (replied,) = of_type(found, "asked"), of_type(found, "replied")
    assert (asked["purpose"], asked["model"]) == ("commit-message", "scripted")
    assert found[-1] == replied
    assert verify().findings == ()


def test_a_log_that_cannot_be_written_shows_the_model_nothing(
    repository: Path, replies: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    done = write(repository, "--scripted", replies, XDG_DATA_HOME=str(tmp_path / "file"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "audit log" in done.stderr


def test_a_log_that_is_switched_off(repository: Path, replies: str) -> None:
    done = write(repository, "--scripted", replies, LOCALAGENT_AUDIT="off")
    assert (done.returncode, done.stdout) == (0, "Fix the sign\n")
    assert sessions() == []


def test_what_cannot_be_done_is_one_line(repository: Path, replies: str, tmp_path: Path) -> None:
    for folder, code, said in (
        (tmp_path, 2, "is not in a git repository's working tree"),
        (repository, 1, "nothing is staged"),
    ):
        git(repository, "reset", "-q")
        done = write(folder, "--scripted", replies)
        assert (done.returncode, done.stdout) == (code, "")
        assert said in done.stderr.splitlines()[0]
        assert len(done.stderr.splitlines()) <= 2


def test_no_usable_reply_gives_a_plain_message_and_says_so(
    repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "none.txt").write_text("--- reply\n```\n```\n")
    done = write(repository, "--scripted", str(tmp_path / "none.txt"))
    assert (done.returncode, done.stdout) == (0, "Update calc.py\n")
    assert "no usable message" in done.stderr


def test_secrets_are_left_out_and_named(repository: Path, replies: str) -> None:
    (repository / ".env").write_text("PASSWORD=1\n")
    git(repository, "add", "-f", ".env")
    done = write(repository, "--scripted", replies)
    assert done.stdout == "Fix the sign\n"
    assert "hidden from the model, may hold secrets: .env" in done.stderr


def test_a_model_that_is_not_installed(repository: Path) -> None:
    done = write(repository)
    assert (done.returncode, done.stdout) == (2, "")
    assert "models fetch" in done.stderr


class TestHook:
    COMMENTS = "\n# Please enter the commit message.\n# Changes to be committed:\n"

    @pytest.fixture
    def file(self, repository: Path) -> Path:
        path = repository / ".git" / "COMMIT_EDITMSG"
        path.write_text(self.COMMENTS)
        return path

    @pytest.mark.parametrize("source", [[], ["template"]])
    def test_the_message_comes_before_gits_comments(
        self, repository: Path, replies: str, file: Path, source: list[str]
    ) -> None:
        done = write(repository, "--scripted", replies, "--hook", str(file), *source)
        assert done.returncode == 0
        assert file.read_text() == f"Fix the sign\n\n{self.COMMENTS.lstrip()}"

    @pytest.mark.parametrize(
        ("source", "text"),
        [
            *((["message"], COMMENTS), (["merge"], COMMENTS), (["squash"], COMMENTS)),
            *((["commit", "HEAD"], COMMENTS), ([], "mine\n# x\n"), (["template"], "Why:\n")),
        ],
    )
    def test_another_message_is_left_alone(
        self, repository: Path, replies: str, file: Path, source: list[str], text: str
    ) -> None:
        file.write_text(text)
        done = write(repository, "--scripted", replies, "--hook", str(file), *source)
        assert (done.returncode, done.stderr, file.read_text()) == (0, "", text)

    def test_the_diff_that_git_shows_below_is_not_a_message(
        self, repository: Path, replies: str, file: Path
    ) -> None:
        shown = (
            f"{self.COMMENTS}# ------------------------ >8 ------------------------\ndiff --git\n"
        )
        file.write_text(shown)
        write(repository, "--scripted", replies, "--hook", str(file))
        assert file.read_text() == f"Fix the sign\n\n{shown.lstrip()}"

    @pytest.mark.parametrize("fault", ["no model", "no file", "failing model", "bad settings"])
    def test_no_failure_stops_a_commit(
        self, repository: Path, file: Path, home: Path, tmp_path: Path, fault: str
    ) -> None:
        words = ["--hook", str(file)]
        if fault == "no file":
            words = ["--hook", str(file) + ".gone"]
        elif fault == "failing model":
            (tmp_path / "dies.txt").write_text('--- reply error = "WorkerDied"\n')
            words += ["--scripted", str(tmp_path / "dies.txt")]
        elif fault == "bad settings":
            (home / ".config/localagent").mkdir(parents=True)
            (home / ".config/localagent/config.toml").write_text("fallback = 3\n")
        done = write(repository, *words)
        assert (done.returncode, done.stdout) == (0, "")
        assert "localagent: no commit message: " in done.stderr.splitlines()[-1]
        assert file.read_text() == self.COMMENTS


class TestInstall:
    def test_git_commit_opens_with_the_message(self, repository: Path, replies: str) -> None:
        assert write(repository, "--install").returncode == 0
        hook = repository / ".git" / "hooks" / "prepare-commit-msg"
        self.script(hook, replies)
        git(repository, "commit", "-q", GIT_EDITOR="true")
        assert git(repository, "log", "-1", "--format=%B") == "Fix the sign\n\n"

    def test_commit_a_and_paths_are_seen(self, repository: Path, replies: str) -> None:
        """git gives the hook an index of its own then."""
        git(repository, "reset", "-q")
        write(repository, "--install")
        self.script(repository / ".git" / "hooks" / "prepare-commit-msg", replies)
        git(repository, "commit", "-qa", GIT_EDITOR="true")
        assert git(repository, "log", "-1", "--format=%s") == "Fix the sign\n"

    def test_a_message_of_ones_own_and_an_amend_are_kept(
        self, repository: Path, replies: str
    ) -> None:
        write(repository, "--install")
        self.script(repository / ".git" / "hooks" / "prepare-commit-msg", replies)
        git(repository, "commit", "-qm", "mine")
        git(repository, "commit", "-q", "--amend", GIT_EDITOR="true")
        assert git(repository, "log", "-1", "--format=%s") == "mine\n"

    def test_a_program_that_is_gone_does_not_stop_a_commit(self, repository: Path) -> None:
        write(repository, "--install")
        hook = repository / ".git" / "hooks" / "prepare-commit-msg"
        hook.write_text(hook.read_text().replace(sys.executable, "/gone/python"))
        said = git(repository, "commit", "-m", "mine")
        assert "/gone/python is gone" in said

    def test_it_can_be_installed_again_but_not_over_anothers(self, repository: Path) -> None:
        assert [write(repository, "--install").returncode for _ in range(2)] == [0, 0]
        hook = repository / ".git" / "hooks" / "prepare-commit-msg"
        hook.write_text("#!/bin/sh\nexit 0\n")
        done = write(repository, "--install")
        assert done.returncode == 2
        assert "a hook exists already" in done.stderr
        assert "-P -m localagent commit-message --hook" in done.stderr
        assert hook.read_text() == "#!/bin/sh\nexit 0\n"

    def test_hooks_that_other_repositories_share_are_left_alone(
        self, repository: Path, tmp_path: Path
    ) -> None:
        git(repository, "config", "core.hooksPath", str(tmp_path / "shared"))
        done = write(repository, "--install")
        assert done.returncode == 2
        assert "core.hooksPath" in done.stderr
        assert not (tmp_path / "shared").exists()

    def test_a_linked_working_tree_has_its_repositorys_hooks(
        self, repository: Path, tmp_path: Path
    ) -> None:
        git(repository, "worktree", "add", "-q", str(tmp_path / "linked"))
        assert write(tmp_path / "linked", "--install").returncode == 0
        assert (repository / ".git" / "hooks" / "prepare-commit-msg").exists()

    def test_outside_of_a_repository(self, tmp_path: Path) -> None:
        assert write(tmp_path, "--install").returncode == 2

    def test_a_localagent_in_the_repository_is_not_run(
        self, repository: Path, tmp_path: Path
    ) -> None:
        (repository / "localagent").mkdir()
        trace = tmp_path / "ran"
        (repository / "localagent" / "__init__.py").write_text(f"open({str(trace)!r}, 'w')\n")
        called(
            repository,
            *(sys.executable, "-P", "-m", "localagent", "commit-message", "--install"),
        )
        git(repository, "commit", "-q", "-m", "mine")
        git(repository, "commit", "-q", "--allow-empty", "--allow-empty-message", GIT_EDITOR="true")
        assert (repository / ".git" / "hooks" / "prepare-commit-msg").exists()
        assert not trace.exists()

    @staticmethod
    def script(hook: Path, replies: str) -> None:
        """Let the installed hook take its replies from a script."""
        text = hook.read_text()
        assert os.access(hook, os.X_OK)
        hook.write_text(text.replace("--hook", f"--scripted '{replies}' --hook"))

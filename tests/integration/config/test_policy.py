"""The administrator's policy: what it may say, that it wins, and that nothing runs without it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.config import policy
from localagent.config import settings as config
from localagent.core.errors import ConfigError, SandboxError
from tests.doubles.administrator import under_policy

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path, workspace_dir: Path) -> Run:
    """localagent under a policy, in the workspace."""

    def start(text: str, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-m", "localagent", *words]
        if words[0] in ("run", "config", "doctor"):
            command += ["-C", str(workspace_dir)]
        return under_policy(text, tmp_path / "etc", command, **env)

    return start


@pytest.fixture
def replies(tmp_path: Path) -> str:
    path = tmp_path / "replies.txt"
    path.write_text("--- reply repeat = true\nIt adds.\n")
    return str(path)


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


class TestRead:
    def test_where_there_is_none_nothing_is_ruled(self, tmp_path: Path) -> None:
        assert policy.read([tmp_path / "none.toml"]) == policy.Policy()

    def test_its_own_keys_and_settings_are_told_apart(self, tmp_path: Path) -> None:
        file = written(
            tmp_path / "p.toml",
            'offline = true\nallowed_hosts = ["gpu:1"]\nsandboxes = ["unshare"]\nwindow = 2048\n',
        )
        read = policy.read([file])
        assert (read.offline, read.allowed_hosts, read.sandboxes) == (
            True,
            ("gpu:1",),
            ("unshare",),
        )
        assert read.settings == {file: {"window": 2048}}

    def test_two_files_allow_what_both_allow(self, tmp_path: Path) -> None:
        one = written(tmp_path / "1.toml", 'allowed_hosts = ["a", "b"]\nsandboxes = ["x", "y"]\n')
        two = written(tmp_path / "2.toml", 'allowed_hosts = ["b"]\noffline = true\nsandboxes=["y"]')
        both = policy.read([one, two])
        assert (both.allowed_hosts, both.sandboxes, both.offline) == (("b",), ("y",), True)

    def test_the_longest_retention_of_two_files_holds(self, tmp_path: Path) -> None:
        one = written(tmp_path / "1.toml", "audit_min_days = 180\n")
        two = written(tmp_path / "2.toml", "audit_min_days = 30\n")
        assert policy.read([one, two]).audit_min_days == 180

    def test_two_files_that_allow_nothing_in_common(self, tmp_path: Path) -> None:
        one = written(tmp_path / "1.toml", 'sandboxes = ["x"]\n')
        two = written(tmp_path / "2.toml", 'sandboxes = ["y"]\n')
        with pytest.raises(ConfigError, match="allowed by all policy files"):
            policy.read([one, two])

    @pytest.mark.parametrize(
        "text",
        [
            "offline = 1",
            'offline = "yes"',
            'allowed_hosts = "gpu"',
            "allowed_hosts = [1]",
            "sandboxes = []",
            'sandboxes = "unshare"',
            'audit_min_days = "30"',
            "audit_min_days = -1",
            "audit_min_days = true",
            "offline = ",
            "# \udcff",
        ],
    )
    def test_what_is_wrong_is_an_error(self, tmp_path: Path, text: str) -> None:
        file = tmp_path / "p.toml"
        file.write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(ConfigError, match=r"p\.toml"):
            policy.read([file])

    def test_a_folder_in_its_place_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="cannot be read"):
            policy.read([tmp_path])

    @pytest.mark.parametrize("text", ["", "relative.toml", "/a\n/b"])
    def test_a_package_that_names_no_place(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
    ) -> None:
        monkeypatch.setattr(policy, "BUILT_IN", written(tmp_path / "policy.path", text))
        with pytest.raises(ConfigError, match="one absolute path"):
            policy.places()

    def test_a_package_can_name_a_place(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place = tmp_path / "site.toml"
        monkeypatch.setattr(policy, "BUILT_IN", written(tmp_path / "policy.path", f"{place}\n"))
        assert policy.places()[1:] == (place,)


class TestSettings:
    def test_a_flag_that_it_contradicts_is_an_error(self, tmp_path: Path) -> None:
        file = written(tmp_path / "p.toml", 'sandbox = "unshare"\n')
        with pytest.raises(ConfigError, match=r"--sandbox none is not possible: .*p\.toml sets"):
            config.load(None, {"sandbox": "none"}, policy=file)
        assert config.load(None, {"sandbox": "unshare"}, policy=file).sandbox == "unshare"

    def test_what_else_it_overrides_is_said(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = written(tmp_path / "p.toml", "max_tokens = 5\nnice = 3\n")
        monkeypatch.setenv("LOCALAGENT_MAX_TOKENS", "7")
        monkeypatch.setenv("LOCALAGENT_NICE", "3")
        settings = config.load(None, policy=file)
        assert settings.max_tokens == 5
        (note,) = settings.warnings
        assert (
            note
            == f"max_tokens of LOCALAGENT_MAX_TOKENS is ignored: the policy {file} sets it to 5"
        )

    @pytest.mark.parametrize("text", ["nonsense = 1", "max_tokens = 0", 'sandbox = "docker"'])
    def test_a_setting_that_is_none(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(ConfigError, match=r"p\.toml"):
            config.load(None, policy=written(tmp_path / "p.toml", text))

    def test_a_sandbox_that_it_does_not_want(self) -> None:
        from localagent.sandbox.kinds.plain import PlainSandbox
        from localagent.sandbox.select import Choice
        from localagent.session.factory import _check_sandbox

        wanted = config.Settings(policy=policy.Policy(sandboxes=("unshare", "bubblewrap")))
        with pytest.raises(SandboxError, match="allows only unshare or bubblewrap"):
            _check_sandbox(Choice(PlainSandbox(), "it was asked for"), wanted)
        _check_sandbox(Choice(PlainSandbox()), config.Settings())


@pytest.mark.sandbox
class TestInForce:
    """In processes of their own, with the file in its place."""

    @pytest.mark.parametrize("text", ["offline = 1", "nonsense = 2", "[[permissions]]\n", "= ="])
    @pytest.mark.parametrize("words", [("run", "x"), ("doctor",), ("docs",), ("config", "show")])
    def test_nothing_runs_under_a_policy_that_is_wrong(
        self, run: Run, text: str, words: tuple[str, ...]
    ) -> None:
        done = run(text, *words)
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.startswith("localagent: error: /etc/localagent/policy.toml")

    def test_the_user_sees_what_is_locked_and_by_whom(self, run: Run) -> None:
        text = 'max_tokens = 9\noffline = true\nsandboxes = ["unshare"]\nallowed_hosts = ["gpu"]\n'
        text += "audit_min_days = 90\n"
        done = run(text, "config", "show")
        assert done.returncode == 0, done.stderr
        line = next(line for line in done.stdout.splitlines() if line.startswith("max_tokens"))
        assert line.endswith("policy /etc/localagent/policy.toml (locked by the administrator)")
        for said in (
            "offline: models fetch is refused",
            "only in these sandboxes: unshare",
            "gpu",
            "for 90 days",
        ):
            assert said in done.stdout

    def test_offline_refuses_the_one_command_that_downloads(self, run: Run, tmp_path: Path) -> None:
        done = run("offline = true\n", "models", "fetch")
        assert done.returncode == 3
        assert "says offline, so nothing is fetched" in done.stderr
        assert "--from PATH" in done.stderr
        given = run("offline = true\n", "models", "fetch", "--from", str(tmp_path / "none"))
        assert "there is no file or folder" in given.stderr

    def test_no_variable_lifts_it(self, run: Run, replies: str) -> None:
        moved = {"LOCALAGENT_POLICY": "/dev/null", "XDG_CONFIG_DIRS": "/nowhere"}
        done = run('sandboxes = ["none"]\n', "run", "x", "--scripted", replies, **moved)
        if "the sandbox here is 'none'" in done.stderr:
            pytest.skip("no confining sandbox here")
        assert done.returncode == 3
        assert "allows only none" in done.stderr

    def test_a_run_under_it(self, run: Run, replies: str) -> None:
        words = ("run", "what is calc.py for?", "--json", "--scripted", replies)
        done = run("max_tokens = 5\noffline = true\n", *words)
        events = [json.loads(line) for line in done.stdout.splitlines()]
        assert events[-1]["type"] == "turn_finished", done.stderr

    def test_the_audit_log_tells_what_was_in_force(
        self, run: Run, replies: str, home: Path
    ) -> None:
        logs = home / ".local/share/localagent/audit"
        assert run("", "run", "--scripted", replies, "what does add do?").returncode == 0
        (old,) = logs.glob("2*.jsonl")
        then = time.time() - 20 * 86_400
        os.utime(old, (then, then))
        text = 'offline = true\nmax_seconds = 900\nallowed_hosts = ["gpu"]\n'
        text += "audit_min_days = 30\naudit_days = 10\n"
        done = run(text, "run", "--scripted", replies, "what does add do?")
        assert done.returncode == 0, done.stderr
        log = next(path for path in logs.glob("2*.jsonl") if path != old)
        assert old.exists()
        session = json.loads(log.read_text().splitlines()[0])
        file = "/etc/localagent/policy.toml"
        assert session["policy"] == {file: hashlib.sha256(text.encode()).hexdigest()}
        assert session["locked"] == {file: ["max_seconds = 900", "audit_days = 10"]}
        assert session["audit_min_days"] == 30
        assert (session["offline"], session["allowed_hosts"]) == (True, ["gpu"])
        assert session["egress"].startswith("kernel: ")

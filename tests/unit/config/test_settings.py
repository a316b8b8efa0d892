"""Settings: their sources, what a project may say, and what is refused."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path

import pytest

from localagent.config import policy as policies
from localagent.config import settings as config
from localagent.config.schema import SETTINGS
from localagent.config.settings import Settings, load, project_file, user_file
from localagent.core.errors import ConfigError
from localagent.core.events import MODES
from localagent.permissions.rules import Rule

REAL_PLACES = policies.places


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "project with space ü"
    folder.mkdir()
    return folder


@pytest.fixture
def no_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "places", lambda: (tmp_path / "no policy.toml",))
    for name in list(os.environ):
        if name.startswith("LOCALAGENT_"):
            monkeypatch.delenv(name)


pytestmark = pytest.mark.usefixtures("no_policy")


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_and_their_source(root: Path) -> None:
    settings = load(root)
    assert settings == Settings()
    assert {settings.source(key) for key in SETTINGS} == {"default"}


def test_every_setting_is_declared_once() -> None:
    plain = Settings()
    for key, setting in SETTINGS.items():
        assert getattr(plain, key) == setting.default, key
        assert setting.help
        assert setting.unit in ("", "bytes", "tokens")
    others = {f.name for f in fields(Settings)} - set(SETTINGS)
    assert others == {"project_permissions", "proposed_check", "warnings", "sources", "policy"}
    assert SETTINGS["mode"].kind.words == MODES


def test_a_default_is_a_value_that_the_setting_allows() -> None:
    for setting in SETTINGS.values():
        if setting.default is not None and setting.key != "permissions":
            read = setting.kind.read(setting.default, "here", strict=True)
            assert read == setting.default, setting.key


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("kv_cache_bytes", 2 << 30, "2.1 GB (2147483648)"),
        ("checkpoint_bytes", 512 << 20, "536.9 MB (536870912)"),
        ("audit_bytes", 0, "0 bytes"),
        ("max_seconds", 900.0, "900"),
        ("window", 4096, "4096 tokens"),
        ("threads", 0, "0"),
        ("mode", "ask", '"ask"'),
        ("model", None, "(unset)"),
        ("sandbox_ports", (5432, 6379), "5432, 6379"),
        ("fallback", (), "(none)"),
        ("roles", {"small": "s"}, "small = s"),
    ],
)
def test_a_value_is_shown_with_its_unit(key: str, value: object, text: str) -> None:
    assert SETTINGS[key].format(value) == text


def test_each_source_overrides_the_one_before(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = root.parent / "policy.toml"
    assert load(root).max_tokens is None
    write(user_file(), "max_tokens = 500\nmodel = 'mine'\n")
    assert (load(root).max_tokens, load(root).source("max_tokens")) == (500, str(user_file()))
    write(project_file(root), "max_tokens = 400\n")
    assert load(root).source("max_tokens") == str(project_file(root))
    monkeypatch.setenv("LOCALAGENT_MAX_TOKENS", "450")
    assert (load(root).max_tokens, load(root).source("max_tokens")) == (
        450,
        "LOCALAGENT_MAX_TOKENS",
    )
    flagged = load(root, {"max_tokens": 460, "model": None})
    assert (flagged.max_tokens, flagged.source("max_tokens")) == (460, "--max-tokens")
    assert (flagged.model, flagged.source("model")) == ("mine", str(user_file()))
    write(policy, "max_tokens = 10\n")
    ruled = load(root, policy=policy)
    assert (ruled.max_tokens, ruled.source("max_tokens")) == (10, f"policy {policy}")


def test_roles_are_overridden_one_by_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(user_file(), "fallback = ['a', 'b']\n[roles]\nmain = 'm'\nsmall = 's'\nplanner = 'p'\n")
    settings = load(root)
    assert (settings.model, settings.roles) == ("m", {"small": "s", "planner": "p"})
    assert (settings.fallback, settings.source("roles")) == (("a", "b"), str(user_file()))
    monkeypatch.setenv("LOCALAGENT_ROLES", "small = t,")
    monkeypatch.setenv("LOCALAGENT_FALLBACK", "c, d")
    settings = load(root, {"model": "n"})
    assert (settings.model, settings.roles) == ("n", {"small": "t", "planner": "p"})
    assert (settings.fallback, settings.source("fallback")) == (("c", "d"), "LOCALAGENT_FALLBACK")
    policy = write(root.parent / "policy.toml", "[roles]\nsmall = 'u'\n")
    assert load(root, policy=policy).roles == {"small": "u", "planner": "p"}


def test_a_projects_main_role_is_its_model(root: Path) -> None:
    write(project_file(root), "[roles]\nmain = 'm'\n")
    with pytest.raises(ConfigError, match="a project may not set model"):
        load(root)


def test_a_bad_role_in_a_variable_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALAGENT_ROLES", "tiny=x")
    with pytest.raises(ConfigError, match="LOCALAGENT_ROLES: roles: unknown setting 'tiny'"):
        load(root)


def test_a_project_lowers_limits_but_never_raises_them(root: Path) -> None:
    write(user_file(), "max_seconds = 60\nmax_tokens = 100\n")
    write(project_file(root), "max_seconds = 600\nmax_tokens = 50\nplanner = 'react'\n")
    settings = load(root)
    assert (settings.max_seconds, settings.max_tokens, settings.planner) == (60, 50, "react")
    assert settings.source("max_seconds") == str(user_file())
    assert len(settings.warnings) == 1
    assert "max_seconds = 600 is ignored" in settings.warnings[0]


def test_a_projects_check_is_only_a_proposal(root: Path) -> None:
    write(user_file(), "check = 'pytest'\n")
    write(project_file(root), "check = 'rm -rf build'\n")
    settings = load(root)
    assert settings.check == "pytest"
    assert settings.proposed_check == "rm -rf build"
    assert settings.source("check") == str(user_file())


@pytest.mark.parametrize("key", sorted(set(SETTINGS) - set(config.PROJECT_KEYS)))
def test_a_project_may_not_set_the_rest(root: Path, key: str) -> None:
    good = {"model": "'m'", "sandbox": "'none'", "checkpoint_bytes": "2000000"}
    good |= {"memory_bytes": "300000000", "audit": "'off'"}
    good |= {"memory_bytes": "300000000", "theme": "'dark'", "edit_mode": "'vi'"}
    good |= {"keys": "{mode = 'f2'}", "status_line": "['mode']"}
    good |= {"roles": "{small = 'm'}", "fallback": "['m']", "ollama_host": "'127.0.0.1'"}
    good |= {"project_files": "'never'", "sandbox_ports": "[5432]"}
    good |= {"server_ca": "'ca.pem'", "server_keys": "{'box:8000' = 'key.txt'}"}
    write(project_file(root), f"{key} = {good.get(key, '2048' if key == 'window' else '10')}\n")
    with pytest.raises(ConfigError, match=f"a project may not set {key}") as caught:
        load(root)
    assert str(user_file()) in caught.value.hint


def test_a_project_asks_or_denies_but_never_allows(root: Path) -> None:
    write(user_file(), "[[permissions]]\naction = 'allow'\ntool = 'edit'\n")
    write(project_file(root), "[[permissions]]\naction = 'deny'\nmatch = 'secrets/*'\n")
    settings = load(root)
    assert settings.permissions == (Rule("edit", "*", "allow"),)
    assert settings.project_permissions == (Rule("*", "secrets/*", "deny"),)
    write(project_file(root), "[[permissions]]\naction = 'allow'\n")
    with pytest.raises(ConfigError, match="may not allow"):
        load(root)


def test_the_policys_rules_are_asked_before_the_users(root: Path) -> None:
    write(user_file(), "[[permissions]]\naction = 'allow'\n")
    policy = write(root.parent / "policy.toml", "[[permissions]]\naction = 'ask'\n")
    rules = load(root, policy=policy).permissions
    assert [rule.action for rule in rules] == ["ask", "allow"]


def test_ports_for_the_sandbox_come_from_the_user_and_a_policy_locks_them(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load(root).sandbox_ports == ()
    write(user_file(), "sandbox_ports = [5432]\n")
    assert load(root).sandbox_ports == (5432,)
    monkeypatch.setenv("LOCALAGENT_SANDBOX_PORTS", "5432, 6379")
    assert load(root).sandbox_ports == (5432, 6379)
    ruled = load(root, policy=write(root.parent / "policy.toml", "sandbox_ports = []\n"))
    assert ruled.sandbox_ports == ()
    assert [note for note in ruled.warnings if "sandbox_ports of LOCALAGENT_SANDBOX_PORTS" in note]


@pytest.mark.parametrize("host", ["http://127.0.0.1:6379", "127.0.0.1:6379", "localhost:6379"])
def test_ollamas_port_is_none_for_commands(root: Path, host: str) -> None:
    write(user_file(), f"ollama_host = '{host}'\nsandbox_ports = [6379]\n")
    with pytest.raises(ConfigError, match="6379, the port of Ollama"):
        load(root)


def test_auto_takes_back_a_chosen_sandbox(root: Path) -> None:
    write(user_file(), "sandbox = 'none'\n")
    assert load(root).sandbox == "none"
    assert load(root, {"sandbox": "auto"}).sandbox is None


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("max_second = 5\n", "unknown setting 'max_second'", "did you mean max_seconds?"),
        ("quux = 5\n", "unknown setting 'quux'", "the known names are: model, planner"),
        ("max_seconds = -5\n", "max_seconds is -5", "seconds, more than 0"),
        ("max_seconds = nan\n", "max_seconds is nan", "seconds, more than 0"),
        ("max_tokens = '5'\n", "max_tokens is '5'", "a whole number, 1 or more"),
        ("max_tokens = 5.5\n", "max_tokens is 5.5", "a whole number, 1 or more"),
        ("threads = true\n", "threads is True", "from 0 to 1024"),
        ("planner = 'magic'\n", "planner is 'magic'", '"workflow" or "react"'),
        ("check = ''\n", "check is ''", "not empty"),
        ("check = 3\n", "check is 3", "not empty"),
        ('check = "a\\nb"\n', "check is 'a", "not empty"),
        ("sandbox = 'docker'\n", "sandbox is 'docker'", '"unshare"'),
        ("sandbox_ports = [80]\n", "sandbox_ports is [80]", "from 1024 to 65535"),
        ("sandbox_ports = 5432\n", "sandbox_ports is 5432", "a list of at most 16"),
        ("sandbox_ports = '5432'\n", "sandbox_ports is '5432'", "a list of at most 16"),
        ("sandbox_ports = [11434]\n", "sandbox_ports has 11434, the port of Ollama", "internet"),
        ("fallback = 'a'\n", "fallback is 'a'", "a list of models' ids"),
        ("fallback = ['']\n", "fallback is ['']", "a list of models' ids"),
        ("roles = 'main=a'\n", "roles is 'main=a'", "a table with main"),
        ("[roles]\nsmal = 'a'\n", "'smal'", "did you mean small?"),
        ("[roles]\nsmall = 3\n", "roles is {'small': 3}", "each a model's id"),
        ("model = 'a'\n[roles]\nmain = 'b'\n", "model is 'a' and main in roles is 'b'", "the same"),
        ("permissions = 3\n", "permissions is 3", "[[permissions]]"),
        ("permissions = [3]\n", "permissions is [3]", "[[permissions]]"),
        ("[[permissions]]\ntool = 'x'\n", "number 1: action is missing", '"deny"'),
        ("[[permissions]]\naction = 'may'\n", "number 1: action is 'may'", '"deny"'),
        ("[[permissions]]\naction = 'ask'\nacton = 1\n", "'acton'", "did you mean action?"),
        ("max_seconds = \n", "is not valid TOML", ""),
        ("a = " + "[" * 5000, "is nested too deeply", ""),
        ("max_tokens = " + "9" * 5000, "is not valid TOML", ""),
        ("x" * 300_000, "larger than 256 KiB", ""),
    ],
)
def test_a_bad_file_is_one_clear_line(root: Path, text: str, message: str, hint: str) -> None:
    path = write(user_file(), text)
    with pytest.raises(ConfigError) as caught:
        load(root)
    assert message in caught.value.message
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.exit_code == 2


def test_a_bad_variable_or_flag_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="--max-seconds: max_seconds is 0"):
        load(root, {"max_seconds": 0})
    monkeypatch.setenv("LOCALAGENT_THREADS", "many")
    with pytest.raises(ConfigError, match="LOCALAGENT_THREADS: threads is 'many'"):
        load(root)


def test_a_misspelt_variable_is_noted_and_others_are_left_alone(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCALAGENT_THREAD", "3")
    monkeypatch.setenv("LOCALAGENT_DEMO_DIR", "/x")
    notes = load(root).warnings
    assert notes == ("LOCALAGENT_THREAD is ignored; did you mean LOCALAGENT_THREADS?",)


def test_a_folder_or_unreadable_bytes_in_place_of_the_file(root: Path) -> None:
    project_file(root).mkdir(parents=True)
    with pytest.raises(ConfigError, match="is not a file"):
        load(root)
    user_file().parent.mkdir(parents=True)
    user_file().write_bytes(b"model = '\xff'\n")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load(None)


def test_the_policy_is_at_a_place_that_no_variable_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    before = REAL_PLACES()
    for name in ("XDG_CONFIG_HOME", "HOME", "LOCALAGENT_POLICY"):
        monkeypatch.setenv(name, "/elsewhere")
    assert before[0].is_absolute()
    assert REAL_PLACES() == before

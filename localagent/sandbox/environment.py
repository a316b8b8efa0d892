"""The environment of commands: an allow-list, so that no secret gets in by being forgotten."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

# Variables that are passed on: locale, who the user is, and where toolchains lie.
_PASSED = frozenset(
    (
        *("LANG", "LANGUAGE", "TZ", "USER", "LOGNAME", "VIRTUAL_ENV", "CONDA_PREFIX"),
        *("CONDA_DEFAULT_ENV", "LD_LIBRARY_PATH", "JAVA_HOME", "GOROOT", "GOTOOLCHAIN", "NVM_DIR"),
        *("PYENV_ROOT", "PYENV_VERSION", "RBENV_ROOT", "RBENV_VERSION", "RUSTUP_HOME"),
        *("RUSTUP_TOOLCHAIN", "ANDROID_HOME", "DOTNET_ROOT", "SDKMAN_DIR", "VOLTA_HOME"),
        *("ASDF_DIR", "ASDF_DATA_DIR", "NIX_PATH", "NIX_PROFILES", "SYSTEMROOT", "SYSTEMDRIVE"),
        *("COMSPEC", "PATHEXT", "WINDIR", "PROCESSOR_ARCHITECTURE", "NUMBER_OF_PROCESSORS"),
    )
)
_PASSED_PREFIXES = ("LC_",)

# What makes programs quiet, plain and self-contained. Git takes no locks that it can do without,
# so that `git status` leaves the index as it is; package managers do not wait for a network.
_FIXED = {
    "TERM": "dumb",
    "NO_COLOR": "1",
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_INPUT": "1",
    "CARGO_NET_OFFLINE": "true",
    "GOPROXY": "off",
    "npm_config_offline": "true",
    "npm_config_update_notifier": "false",
}

# Folders of the real home in which toolchains keep programs and packages, and no secrets. They
# are linked into the private home, so that `cargo`, `go`, `mvn` or a user's own `pip install`
# are found there.
_TOOLS = (
    *(".local/lib", ".local/bin", ".local/share/virtualenvs", ".local/share/uv", ".local/pipx"),
    *(".pyenv", ".asdf", ".nvm", ".volta", ".rbenv", ".rvm", ".sdkman", ".ghcup", ".dotnet"),
    *(".rustup", ".cargo/bin", ".cargo/registry", ".cargo/git", "go/pkg/mod", ".m2/repository"),
    *(".gradle/wrapper", ".gradle/caches", ".nuget/packages", ".opam", ".stack", ".cabal"),
)


def scrubbed(home: str, tmp: str, extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of a command whose home is `home` and whose temporary folder is `tmp`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.upper() in _PASSED or name.startswith(_PASSED_PREFIXES)
    }
    places = {"HOME": home, "TMPDIR": tmp, "TEMP": tmp, "TMP": tmp, "PATH": _path()}
    return {**kept, **_FIXED, **places, **extra}


def _path() -> str:
    """PATH without relative entries, which mean another folder wherever one stands."""
    entries = [entry for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]
    absolute = [entry for entry in entries if Path(entry).is_absolute()]
    return os.pathsep.join(absolute) or os.defpath


def tool_links(home: str) -> list[tuple[str, str]]:
    """Links that a private `home` needs: pairs of the link's path and its target."""
    real = Path.home()
    found = ((f"{home}/{name}", f"{real}/{name}") for name in _TOOLS)
    # Not Path.is_dir, which raises for what this user may not look at.
    return [(link, target) for link, target in found if os.path.isdir(target)]  # noqa: PTH112

"""Environment variables of commands: an allow-list, so that no forgotten secret gets in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

# Variables that commands get: locale, user, and the folders of toolchains.
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

# These variables make programs quiet, plain and self-contained. Git takes no optional locks, so
# `git status` does not rewrite the index. Package managers do not wait for a network.
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

# Folders of the real home in which toolchains keep programs and packages, and no secrets. The
# private home of a command links to them, so that commands find `cargo`, `go`, `mvn` and the user's
# `pip install`.
_TOOLS = (
    *(".local/lib", ".local/bin", ".local/share/virtualenvs", ".local/share/uv", ".local/pipx"),
    *(".pyenv", ".asdf", ".nvm", ".volta", ".rbenv", ".rvm", ".sdkman", ".ghcup", ".dotnet"),
    *(".rustup", ".cargo/bin", ".cargo/registry", ".cargo/git", "go/pkg/mod", ".m2/repository"),
    *(".gradle/wrapper", ".gradle/caches", ".nuget/packages", ".opam", ".stack", ".cabal"),
)


def scrubbed(home: str, tmp: str, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a command with the home `home` and the temporary folder `tmp`."""
    passed = {
        name: value
        for name, value in os.environ.items()
        if name.upper() in _PASSED or name.startswith(_PASSED_PREFIXES)
    }
    folders = {"HOME": home, "TMPDIR": tmp, "TEMP": tmp, "TMP": tmp, "PATH": search_path()}
    return {**passed, **_FIXED, **folders, **extra}


def search_path() -> str:
    """The absolute folders of PATH: a relative one would differ in each working folder."""
    entries = [entry for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]
    return os.pathsep.join(e for e in entries if Path(e).is_absolute()) or os.defpath


def tool_links(home: str) -> list[tuple[str, str]]:
    """Return the links that a private `home` needs: pairs of the link's path and its target."""
    real = Path.home()
    links = ((f"{home}/{name}", f"{real}/{name}") for name in _TOOLS)
    # Path.is_dir raises for a folder that this user cannot read; os.path.isdir returns False.
    return [(link, target) for link, target in links if os.path.isdir(target)]  # noqa: PTH112

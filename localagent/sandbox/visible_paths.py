# ruff: noqa: PTH112, PTH116, PTH117, PTH119, PTH120
# (pathlib raises for paths that this user cannot read, and is slow for every command)
"""The paths of the machine that a confined command sees, as mounts or rules for the launcher.

Everything is visible and read-only, since tools may lie anywhere, except for the paths listed here:
folders and files in which users and programs keep secrets, localagent's own state, and sockets of
other programs, which could act for the command.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterable
from pathlib import Path

from localagent.core import paths
from localagent.core.errors import SandboxError
from localagent.egress import lock

Mount = tuple[str, str, bool]
"""A mount's kind, path and flag; `_build` in launcher/namespaces.py explains them."""

_SECRET_FOLDERS_OF_HOME = (
    *(".ssh", ".aws", ".gnupg", ".config", ".kube", ".docker", ".azure", ".password-store"),
    *(".mozilla", ".thunderbird", ".terraform.d", ".1password", ".oci", ".databricks", ".vault.d"),
    *(".local/share/keyrings", ".local/share/kwalletd", ".cache/keyring", ".pki", ".minikube"),
    *(".cache/huggingface/token", ".huggingface", ".claude", ".codex", ".gemini", ".snap"),
    *(".cursor", ".copilot", ".kaggle", ".pulumi", ".fly", ".tsh", ".step", ".android", "Mail"),
    *(".local/share/fish", ".local/share/atuin", ".local/share/opencode", ".var/app", "snap"),
    *(".subversion/auth", ".ipython/profile_default", ".bitcoin", ".ethereum", ".electrum"),
    *(".local/share/localagent", ".local/state/localagent", ".cache/localagent", ".ollama"),
    *("Library/Keychains", ".local/share/evolution", ".local/share/mail", ".mutt"),
)
_SECRET_FILES_OF_HOME = (
    *(".netrc", ".npmrc", ".pypirc", ".pgpass", ".my.cnf", ".git-credentials", ".vault-token"),
    *(".s3cfg", ".boto", ".databrickscfg", ".yarnrc", ".yarnrc.yml", ".dockercfg", ".htpasswd"),
    *(".m2/settings.xml", ".m2/settings-security.xml", ".gradle/gradle.properties"),
    *(".cargo/credentials", ".cargo/credentials.toml", ".gem/credentials", ".terraformrc"),
    *(".bash_history", ".zsh_history", ".python_history", ".node_repl_history", ".psql_history"),
    *(".mysql_history", ".sqlite_history", ".rediscli_history", ".lesshst", ".viminfo"),
    *(".Xauthority", ".ICEauthority", ".k5login", ".fetchmailrc", ".msmtprc", ".authinfo"),
    *(".claude.json", ".zhistory", ".histfile", ".aider.conf.yml", ".smbcredentials", ".curlrc"),
    *(".wgetrc", ".irb_history", ".local/share/recently-used.xbel", ".muttrc"),
)
_SECRETS_OF_THE_SYSTEM = (
    *("/run", "/var/run", "/etc/ssh", "/etc/ssl/private", "/etc/shadow", "/etc/shadow-"),
    *("/etc/gshadow", "/etc/gshadow-", "/etc/sudoers", "/etc/sudoers.d", "/etc/krb5.keytab"),
)
_FIRST_USER = 1000  # lower numbers belong to services
_NO_HOMES = ("/", "/nonexistent")
_MAX_HOMES = 200  # each takes a millisecond
_TMP = ("/tmp", "/var/tmp")
# A workspace in one of these folders would have to be hidden and visible at once.
_NEVER = ("/", "/tmp", "/var/tmp", "/dev", "/dev/shm", "/proc", "/sys", "/run", "/var/run")


def mounts(workspace: Path) -> list[Mount]:
    """Return the mounts of a snapshot of `workspace` (resolved), parents before children.

    Raises SandboxError for a system folder that cannot be a workspace.
    """
    root = str(workspace)
    if root in _NEVER or root.startswith(("/proc/", "/sys/", "/dev/")):
        hint = "start localagent in a project's own folder"
        raise SandboxError(f"the sandbox cannot use {root} as a workspace", hint)
    tmp = {path for path in _TMP if Path(path).is_dir() and not Path(path).is_symlink()}
    hidden = {path: kind for path, kind in hidden_paths() if path != root and path not in tmp}
    covers = (*tmp, *hidden)
    programs = {path for path in _program_folders() if path != root and path not in covers}
    # Programs need a separate mount only if their folder is covered.
    kept = {
        path
        for path in programs
        if any(_is_below(path, cover) for cover in covers) and not _is_below(path, root)
    }
    visible = (*kept, root)
    result: list[Mount] = [("tmp", path, False) for path in tmp]
    for path, kind in hidden.items():
        partial = kind == "folder" and any(_is_below(other, path) for other in visible)
        result.append((kind, path, partial))
    result += [("keep", path, False) for path in kept]
    result.append(("workspace", root, False))
    return sorted(result, key=lambda mount: mount[1].split("/"))


_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


def landlock_rules(workspace: Path) -> list[tuple[str, str]]:
    """Return Landlock rules for the same paths: pairs of a kind ("read", "device") and a path.

    Landlock rules can only allow paths. So a folder that contains a hidden path gets no rule and
    cannot be listed; each of its other entries gets a rule. The caller adds a rule for the
    workspace's copy.
    """
    mounts(workspace)  # raises SandboxError for a folder that cannot be a workspace
    programs = set(_program_folders())
    closed = {path for path, _ in hidden_paths()} | {*_TMP, "/dev", str(workspace)}
    opened = {parent for path in closed for parent in _parents(path)}
    result = [("read", path) for path in programs if path not in closed | opened]
    waiting = ["/"]
    while waiting:
        folder = waiting.pop()
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.path in closed or entry.is_symlink():
                    continue
                if entry.path in opened:
                    waiting.append(entry.path)
                else:
                    result.append(("read", entry.path))
    return [*result, *(("device", f"/dev/{name}") for name in _DEVICES)]


def _parents(path: str) -> Iterable[str]:
    while (parent := os.path.dirname(path)) != path:
        yield parent
        path = parent


def hidden_paths() -> Iterable[tuple[str, str]]:
    """Yield the existing paths to hide: pairs of a resolved path and its kind."""
    for name in secret_places():
        try:
            mode = os.stat(name).st_mode
        except OSError:
            continue
        yield os.path.realpath(name), "folder" if stat.S_ISDIR(mode) else "file"


def secret_places() -> list[str]:
    """Return the paths to hide, also those that do not exist, and with links in them."""
    own = (paths.config_dir(), paths.data_dir(), paths.cache_dir(), paths.state_dir())
    names = [
        f"{home}/{name}"
        for home in _homes()
        for name in (*_SECRET_FOLDERS_OF_HOME, *_SECRET_FILES_OF_HOME)
    ]
    return [*names, *map(str, own), *_SECRETS_OF_THE_SYSTEM, *_sockets()]


def _homes() -> list[str]:
    """Return the homes whose secrets are hidden: of this user, and for root of every user.

    HOME may name another folder than the system does, as after `sudo -E`.
    """
    homes = [str(Path.home())]
    if sys.platform != "win32":
        import pwd

        users = pwd.getpwall() if os.geteuid() == 0 else []
        with contextlib.suppress(KeyError):
            users.append(pwd.getpwuid(os.geteuid()))
        homes += [user.pw_dir for user in users if user.pw_uid >= _FIRST_USER or not user.pw_uid]
        homes += [str(home) for home in Path("/home").glob("*")] if users[1:] else []
    return [home for home in dict.fromkeys(homes) if home not in _NO_HOMES][:_MAX_HOMES]


def _sockets() -> list[str]:
    """Return the sockets in the file system on which programs listen.

    The sockets belong to this network namespace, or to the outer one that the egress lock left. A
    command can connect to a socket even on a read-only mount. Docker's socket, for example, would
    lead the command out of the sandbox.
    """
    try:
        lines = Path("/proc/net/unix").read_bytes().splitlines()[1:]
        lines += lock.outside_sockets().splitlines()[1:]
    except OSError:
        return []
    # The columns are Num RefCount Protocol Flags Type St Inode Path; the path may have spaces.
    columns = (line.split(b" ", 7) for line in (b" ".join(line.split(None, 7)) for line in lines))
    names = {os.fsdecode(row[7]) for row in columns if len(row) == 8}
    return [name for name in names if name.startswith("/")]


def _program_folders() -> Iterable[str]:
    """Yield the folders of the programs that commands need.

    The localagent package is one of these programs, since checks load its probe. The package may
    lie in a hidden folder such as /tmp.
    """
    package = str(Path(__file__).resolve().parents[1])
    folders = [package, sys.prefix, sys.base_prefix, os.environ.get("VIRTUAL_ENV", "")]
    folders += [os.environ.get("CONDA_PREFIX", ""), "/run/current-system", "/run/opengl-driver"]
    for entry in os.environ.get("PATH", "").split(os.pathsep):
        # A program's data may lie next to the program's folder, as lib/node_modules next to
        # bin/node.
        if os.path.basename(entry) in ("bin", "sbin"):
            folders.append(os.path.dirname(entry))
        folders.append(entry)
    for path in dict.fromkeys(folders):
        if os.path.isabs(path) and os.path.isdir(path):
            yield os.path.realpath(path)


def _is_below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip("/") + "/")

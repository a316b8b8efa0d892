# ruff: noqa: PTH112, PTH116, PTH117, PTH119, PTH120
# (pathlib raises for what this user may not look at, and this runs for every view)
"""What a confined command gets to see of the machine: a list of places for the launcher.

Everything is visible and read-only, as tools may lie anywhere, but for what is listed here: the
folders and files in which people and programs keep secrets, localagent's own state, and sockets
through which a program outside could be asked to do what the command itself cannot.
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

# (kind, path, flag): see namespace.build.
Place = tuple[str, str, bool]

_SECRET_FOLDERS_OF_HOME = (
    *(".ssh", ".aws", ".gnupg", ".config", ".kube", ".docker", ".azure", ".password-store"),
    *(".mozilla", ".thunderbird", ".terraform.d", ".1password", ".oci", ".databricks", ".vault.d"),
    *(".local/share/keyrings", ".local/share/kwalletd", ".cache/keyring", ".pki", ".minikube"),
    *(".cache/huggingface/token", ".huggingface", ".claude", ".codex", ".gemini", ".snap"),
)
_SECRET_FILES_OF_HOME = (
    *(".netrc", ".npmrc", ".pypirc", ".pgpass", ".my.cnf", ".git-credentials", ".vault-token"),
    *(".s3cfg", ".boto", ".databrickscfg", ".yarnrc", ".yarnrc.yml", ".dockercfg", ".htpasswd"),
    *(".m2/settings.xml", ".m2/settings-security.xml", ".gradle/gradle.properties"),
    *(".cargo/credentials", ".cargo/credentials.toml", ".gem/credentials", ".terraformrc"),
    *(".bash_history", ".zsh_history", ".python_history", ".node_repl_history", ".psql_history"),
    *(".mysql_history", ".sqlite_history", ".rediscli_history", ".lesshst", ".viminfo"),
    *(".Xauthority", ".ICEauthority", ".k5login", ".fetchmailrc", ".msmtprc", ".authinfo"),
)
_SECRETS_OF_THE_SYSTEM = (
    *("/run", "/var/run", "/etc/ssh", "/etc/ssl/private", "/etc/shadow", "/etc/shadow-"),
    *("/etc/gshadow", "/etc/gshadow-", "/etc/sudoers", "/etc/sudoers.d", "/etc/krb5.keytab"),
)
_TMP = ("/tmp", "/var/tmp")
# A workspace there would have to be both hidden and shown.
_NEVER = ("/", "/tmp", "/var/tmp", "/dev", "/dev/shm", "/proc", "/sys", "/run", "/var/run")


def places(workspace: Path) -> list[Place]:
    """The places of a view of `workspace` (resolved), parents before children.

    Raises SandboxError for a folder of the system that cannot be a workspace.
    """
    own = str(workspace)
    if own in _NEVER or own.startswith(("/proc/", "/sys/", "/dev/")):
        hint = "start localagent in a project's own folder"
        raise SandboxError(f"the sandbox cannot take {own} for a workspace", hint)
    tmp = {path for path in _TMP if Path(path).is_dir() and not Path(path).is_symlink()}
    hidden = {path: kind for path, kind in _hidden() if path != own and path not in tmp}
    shown = {path for path in _programs() if path != own and path not in hidden and path not in tmp}
    covered = (*tmp, *hidden)
    shown = {path for path in shown if _below_any(path, covered) and not _below(path, own)}
    visible = (*shown, own)
    found: list[Place] = [("tmp", path, False) for path in tmp]
    for path, kind in hidden.items():
        roomy = kind == "folder" and any(_below(other, path) for other in visible)
        found.append((kind, path, roomy))
    found += [("keep", path, False) for path in shown]
    found.append(("workspace", own, False))
    return sorted(found, key=lambda place: place[1].split("/"))


_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


def rules(workspace: Path) -> list[tuple[str, str]]:
    """The same for Landlock, which knows only what is allowed: kinds ("read", "device") and paths.

    A folder in which something is hidden is opened up: what else is in it is allowed one by one,
    and itself it cannot be listed. The workspace is not among it; its copy has to be added.
    """
    places(workspace)  # raises for what cannot be a workspace
    shown = set(_programs())
    closed = {path for path, _ in _hidden()} | {*_TMP, "/dev", str(workspace)}
    opened = {parent for path in closed for parent in _parents(path)}
    found = [("read", path) for path in shown if path not in closed | opened]
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
                    found.append(("read", entry.path))
    return [*found, *(("device", f"/dev/{name}") for name in _DEVICES)]


def _parents(path: str) -> Iterable[str]:
    while (parent := os.path.dirname(path)) != path:
        yield parent
        path = parent


def _hidden() -> Iterable[tuple[str, str]]:
    """What is to be hidden, as far as it exists: pairs of a resolved path and its kind."""
    home = str(Path.home())
    own = (paths.config_dir(), paths.data_dir(), paths.cache_dir(), paths.state_dir())
    names = [f"{home}/{name}" for name in (*_SECRET_FOLDERS_OF_HOME, *_SECRET_FILES_OF_HOME)]
    names += [*map(str, own), *_SECRETS_OF_THE_SYSTEM, *_sockets()]
    for name in names:
        try:
            mode = os.stat(name).st_mode
        except OSError:
            continue
        yield os.path.realpath(name), "folder" if stat.S_ISDIR(mode) else "file"


def _sockets() -> list[str]:
    """The sockets in the file system that some program listens on: in this network namespace, and
    in the one that the egress lock left.

    A read-only mount does not keep anyone from connecting, and through Docker's socket or a
    password agent's a command could leave the sandbox.
    """
    try:
        lines = Path("/proc/net/unix").read_bytes().splitlines()[1:]
        lines += lock.outside_sockets().splitlines()[1:]
    except OSError:
        return []
    # Num RefCount Protocol Flags Type St Inode Path; the path may have spaces.
    columns = (line.split(b" ", 7) for line in (b" ".join(line.split(None, 7)) for line in lines))
    names = {os.fsdecode(row[7]) for row in columns if len(row) == 8}
    return [name for name in names if name.startswith("/")]


def _programs() -> Iterable[str]:
    """Folders with the programs that commands need, wherever they lie.

    This package is one of them: it may be a checkout in a hidden folder such as /tmp, and checks
    load its probe.
    """
    package = str(Path(__file__).resolve().parents[1])
    found = [package, sys.prefix, sys.base_prefix, os.environ.get("VIRTUAL_ENV", "")]
    found += [os.environ.get("CONDA_PREFIX", ""), "/run/current-system", "/run/opengl-driver"]
    for entry in os.environ.get("PATH", "").split(os.pathsep):
        # What a program needs lies beside its folder: bin/node and lib/node_modules.
        if os.path.basename(entry) in ("bin", "sbin"):
            found.append(os.path.dirname(entry))
        found.append(entry)
    for path in dict.fromkeys(found):
        if os.path.isabs(path) and os.path.isdir(path):
            yield os.path.realpath(path)


def _below(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip("/") + "/")


def _below_any(path: str, folders: Iterable[str]) -> bool:
    return any(_below(path, folder) for folder in folders)

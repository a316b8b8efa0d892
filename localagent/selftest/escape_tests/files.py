# ruff: noqa: PTH101, PTH102, PTH103, PTH106, PTH108, PTH116, PTH119, PTH120, PTH123, PTH211
# (a separate program that must start quickly and make the calls directly)
"""Escape tests: write to files and folders outside, and read hidden ones."""

from __future__ import annotations

import os
import socket
import struct
import sys

from . import Target, add, append, call, can_open, escape_test, has_secret, succeeds, successes

_SYSTEM_FILES = ("/etc/passwd", "/etc/hosts", "/bin/sh", "/etc/ld.so.cache", sys.executable)
_SYSTEM_FOLDERS = (
    *("/", "/etc", "/usr", "/usr/bin", "/var", "/etc/cron.d", "/var/spool/cron", "/opt", "/run"),
    *("/sys", "/proc", "/proc/sys/kernel", sys.prefix),
)

# Writing

add("bashrc", "writing to ~/.bashrc", lambda t: append(f"{t['home']}/.bashrc"))
add(
    "authorized-keys",
    "writing to ~/.ssh/authorized_keys",
    lambda t: append(f"{t['home']}/.ssh/authorized_keys"),
)
add("home-file", "a new file in the home", lambda t: append(f"{t['home']}/canary-new"))
add("home-folder", "a new folder in the home", lambda t: os.mkdir(f"{t['home']}/canary-folder"))
add("home-link", "a new link in the home", lambda t: os.symlink("x", f"{t['home']}/canary-link"))
add("state-file", "a new file in localagent's state", lambda t: append(t["state_file"]))
add("real-file", "the real file of the workspace", lambda t: append(f"{t['workspace']}/file"))
add(
    "git-config",
    "the git settings of the real workspace",
    lambda t: append(f"{t['workspace']}/.git/config"),
)
add("journal", "localagent's journal", lambda t: append(t["journal"]))
add("journal-read", "reading localagent's journal", lambda t: has_secret(t["journal"], t))
add("settings", "localagent's settings", lambda t: append(t["settings"]))
add("outside", "a file beside the workspace", lambda t: append(t["outside"]))
add("dots", "a file outside, by ..", lambda t: append(os.path.relpath(t["outside"])))
add("link-out", "a file outside, by an existing link", lambda _: append("link-out"))


@escape_test("git-hook", "a git hook of the real workspace")
def _(t: Target) -> object:
    os.makedirs(f"{t['workspace']}/.git/hooks", exist_ok=True)
    return append(f"{t['workspace']}/.git/hooks/pre-commit")


@escape_test("new-link", "a file outside, by a new link")
def _(t: Target) -> object:
    os.symlink(t["outside"], "new-link")
    return append("new-link")


@escape_test("hard-link", "a file outside, by a hard link")
def _(t: Target) -> object:
    os.link(t["outside"], "hard-link")
    return append("hard-link")


@escape_test("descriptor-link", "a file outside, by a hard link to a descriptor")
def _(t: Target) -> object:
    descriptor = os.open(t["outside"], os.O_RDONLY)
    os.link(f"/proc/self/fd/{descriptor}", "fd-link", follow_symlinks=True)
    return append("fd-link")


@escape_test("reopen", "opening a file again for writing")
def _(t: Target) -> object:
    descriptor = os.open(t["outside"], os.O_RDONLY)
    return append(f"/proc/self/fd/{descriptor}")


@escape_test("mode-by-link", "changing the mode of a file outside, by a link")
def _(t: Target) -> object:
    os.symlink(t["outside"], "mode-link")
    os.chmod("mode-link", 0o606)
    return True


@escape_test("mode-by-folder", "changing the mode of a file outside, by .. of an open folder")
def _(t: Target) -> object:
    descriptor = os.open(os.path.dirname(t["outside"]), os.O_PATH)
    os.chmod(os.path.basename(t["outside"]), 0o606, dir_fd=descriptor)
    return True


add(
    "move-in",
    "moving a file into the workspace",
    lambda t: succeeds(os.rename, t["outside"], "moved"),
)
add(
    "exchange",
    "exchanging a file with a file of the workspace",
    lambda t: succeeds(call, 316, 276, -100, b"own-file", -100, t["outside"].encode(), 2),
)
add("delete", "deleting a file outside", lambda t: succeeds(os.unlink, t["outside"]))
add("truncate", "truncating a file outside", lambda t: succeeds(os.truncate, t["outside"], 0))
add(
    "truncate-by-opening",
    "truncating a file outside by opening it for reading",
    lambda t: succeeds(os.open, t["outside"], os.O_RDONLY | os.O_TRUNC),
)
add(
    "mode", "changing the mode of a file outside", lambda t: succeeds(os.chmod, t["outside"], 0o606)
)
add(
    "mode-by-descriptor",
    "changing the mode of an open file outside",
    lambda t: succeeds(os.fchmod, os.open(t["outside"], os.O_RDONLY), 0o606),
)
add(
    "secret-mode",
    "making a secret readable for all users",
    lambda t: succeeds(os.chmod, t["secret_file"], 0o644),
)
add(
    "owner",
    "changing the owner of a file outside",
    lambda t: succeeds(os.chown, t["outside"], os.getuid(), t["other_group"]),
)
add(
    "times",
    "changing the times of a file outside",
    lambda t: succeeds(os.utime, t["outside"], (1, 1)),
)
add(
    "times-by-descriptor",
    "changing the times of an open file outside",
    lambda t: succeeds(os.utime, os.open(t["outside"], os.O_RDONLY), (1, 1)),
)
add(
    "attributes",
    "extended attributes of a file outside",
    lambda t: succeeds(os.setxattr, t["outside"], "user.canary", b"1"),
)


@escape_test("file-flags", "flags and versions of a file outside")
def _(t: Target) -> object:
    import fcntl

    def set_flags(request: int) -> bool:
        descriptor = os.open(t["outside"], os.O_RDONLY)
        return fcntl.ioctl(descriptor, request, struct.pack("7I", 0x40, *[0] * 6)) is not None

    requests = (0x40086602, 0x40087602, 0x401C5820)  # FS_IOC_SETFLAGS, _SETVERSION, _FSSETXATTR
    return successes(map(str, requests), lambda request: set_flags(int(request)))


add(
    "allocate",
    "filling a file outside",
    lambda t: succeeds(os.posix_fallocate, os.open(t["outside"], os.O_WRONLY), 0, 100),
)
add("fifo", "a pipe beside the workspace", lambda t: os.mkfifo(f"{t['home']}/canary-fifo"))


@escape_test("pipe", "a pipe that another program reads")
def _(t: Target) -> object:
    return os.write(os.open(t["pipe"], os.O_WRONLY | os.O_NONBLOCK), b"canary")


@escape_test("socket-file", "a socket beside the workspace")
def _(t: Target) -> object:
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(f"{t['home']}/canary.sock")
    return None


# The system's files: only in sandboxes, so that no test does harm if nothing refuses it


@escape_test("system-files", "the system's files")
def _(t: Target) -> object:
    flags = os.O_WRONLY | os.O_NONBLOCK
    return t["sandboxed"] and successes(_SYSTEM_FILES, lambda path: can_open(path, flags))


@escape_test("system-modes", "the modes of the system's files")
def _(t: Target) -> object:
    def keep_mode(path: str) -> bool:
        return succeeds(os.chmod, path, os.stat(path).st_mode & 0o7777)

    return t["sandboxed"] and successes(_SYSTEM_FILES, keep_mode)


@escape_test("system-folders", "new unnamed files in the system's folders")
def _(t: Target) -> object:
    def unnamed_file(folder: str) -> bool:  # the file is gone when it is closed
        os.close(os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o600))
        return True

    return t["sandboxed"] and successes(_SYSTEM_FOLDERS, unnamed_file)


@escape_test("system-entries", "new files, folders and links in the system's folders")
def _(t: Target) -> object:
    def make(path: str) -> bool:
        kind = path.rpartition("-")[2]
        if kind == "file":
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        elif kind == "folder":
            os.mkdir(path)
        else:
            os.symlink("x", path)
        os.rmdir(path) if kind == "folder" else os.unlink(path)
        return True

    names = [f"{t['marker']}-{kind}" for kind in ("file", "folder", "link")]
    paths = [f"{folder}/{name}" for folder in _SYSTEM_FOLDERS for name in names]
    return t["sandboxed"] and successes(paths, make)


# Reading

for _name, _what, _file in (
    ("aws", "credentials of a cloud", ".aws/credentials"),
    ("gpg", "GPG keys", ".gnupg/private-keys-v1.d/key"),
    ("kube", "credentials of a cluster", ".kube/config"),
    ("netrc", "passwords for hosts", ".netrc"),
    ("npm", "tokens for package registries", ".npmrc"),
    ("git-credentials", "git's passwords", ".git-credentials"),
    ("history", "the shell's history", ".bash_history"),
    ("browser", "a browser's profile", ".mozilla/firefox/logins.json"),
    ("program-settings", "settings of programs", ".config/gh/hosts.yml"),
):
    add(_name, _what, lambda t, file=_file: has_secret(f"{t['home']}/{file}", t))  # type: ignore[misc]

add("ssh-key", "an ssh key", lambda t: has_secret(t["secret_file"], t))


@escape_test("ssh-key-by-link", "an ssh key by a link")
def _(t: Target) -> object:
    os.symlink(t["secret_file"], "key-link")
    return has_secret("key-link", t)


@escape_test("ssh-key-by-folder", "an ssh key by an open folder")
def _(t: Target) -> object:
    home = os.open(t["home"], os.O_PATH)
    descriptor = os.open(".ssh/id_ed25519", os.O_RDONLY, dir_fd=home)
    return t["secret"].encode() in os.read(descriptor, 4096)


@escape_test("git-objects-link", "an ssh key by a link in place of git's objects")
def _(t: Target) -> object:
    key = t["secret_file"]
    paths = (f".git/objects{key}", f"/tmp/.localagent-objects{key}", key)
    return successes(paths, lambda path: has_secret(path, t))


@escape_test("shadow", "the system's passwords")
def _(_t: Target) -> object:
    def has_rows(path: str) -> bool:
        with open(path) as file:
            return ":" in file.read()

    return successes(("/etc/shadow", "/etc/gshadow", "/etc/shadow-", "/etc/gshadow-"), has_rows)


add("tmp", "files of other programs in /tmp", lambda t: has_secret(t["tmp_file"], t))
add("tmp-write", "leaving files in /tmp", lambda t: append(f"/tmp/{t['marker']}"))
add("var-tmp", "leaving files in /var/tmp", lambda t: append(f"/var/tmp/{t['marker']}"))
add("shm", "shared memory files of other programs", lambda t: has_secret(t["shm_file"], t))
add("shm-write", "leaving shared memory files", lambda t: append(f"/dev/shm/{t['marker']}"))

# ruff: noqa: PTH101, PTH103, PTH104, PTH108
# ruff: noqa: PTH119, PTH120, PTH211, ARG001
# (a program of its own that must start quickly and use the calls themselves)
"""Attempts: writing to files and folders outside. Each says what it tries."""

from __future__ import annotations

import os
import socket
import sys

from .known import Target, attempt, call, opened, seen, write


@attempt("bashrc", "writing to ~/.bashrc")
def _(t: Target) -> object:
    return write(f"{t['home']}/.bashrc")


@attempt("authorized-keys", "writing to ~/.ssh/authorized_keys")
def _(t: Target) -> object:
    return write(f"{t['home']}/.ssh/authorized_keys")


@attempt("home-file", "a new file in the home")
def _(t: Target) -> object:
    return write(f"{t['home']}/canary-new")


@attempt("real-file", "the real file of the workspace")
def _(t: Target) -> object:
    return write(f"{t['workspace']}/file")


@attempt("git-hook", "a git hook of the real workspace")
def _(t: Target) -> object:
    os.makedirs(f"{t['workspace']}/.git/hooks", exist_ok=True)
    return write(f"{t['workspace']}/.git/hooks/pre-commit")


@attempt("git-config", "the git settings of the real workspace")
def _(t: Target) -> object:
    return write(f"{t['workspace']}/.git/config")


@attempt("journal", "localagent's journal")
def _(t: Target) -> object:
    return write(t["journal"])


@attempt("journal-read", "reading localagent's journal")
def _(t: Target) -> object:
    return seen(t["journal"], t)


@attempt("settings", "localagent's settings")
def _(t: Target) -> object:
    return write(t["settings"])


@attempt("outside", "a file beside the workspace")
def _(t: Target) -> object:
    return write(t["outside"])


@attempt("dots", "a file outside, by ..")
def _(t: Target) -> object:
    return write(os.path.relpath(t["outside"]))


@attempt("link-out", "a file outside, by a link that was there")
def _(t: Target) -> object:
    return write("link-out")


@attempt("new-link", "a file outside, by a new link")
def _(t: Target) -> object:
    os.symlink(t["outside"], "new-link")
    return write("new-link")


@attempt("hard-link", "a file outside, by a hard link")
def _(t: Target) -> object:
    os.link(t["outside"], "hard-link")
    return write("hard-link")


@attempt("descriptor-link", "a file outside, by a hard link to a descriptor")
def _(t: Target) -> object:
    found = os.open(t["outside"], os.O_RDONLY)
    os.link(f"/proc/self/fd/{found}", "fd-link", follow_symlinks=True)
    return write("fd-link")


@attempt("reopen", "opening a file again for writing")
def _(t: Target) -> object:
    found = os.open(t["outside"], os.O_RDONLY)
    return write(f"/proc/self/fd/{found}")


@attempt("move-in", "moving a file into the workspace")
def _(t: Target) -> object:
    os.rename(t["outside"], "moved")
    return True


@attempt("exchange", "exchanging a file with one of the workspace")
def _(t: Target) -> object:
    call(316, 276, -100, b"own-file", -100, t["outside"].encode(), 2)
    return True


@attempt("delete", "deleting a file outside")
def _(t: Target) -> object:
    os.unlink(t["outside"])
    return True


@attempt("truncate", "cutting a file outside")
def _(t: Target) -> object:
    os.truncate(t["outside"], 0)
    return True


@attempt("mode", "changing the mode of a file outside")
def _(t: Target) -> object:
    os.chmod(t["outside"], 0o606)
    return True


@attempt("mode-by-descriptor", "changing the mode of an open file outside")
def _(t: Target) -> object:
    os.fchmod(os.open(t["outside"], os.O_RDONLY), 0o606)
    return True


@attempt("mode-by-link", "changing the mode of a file outside, by a link")
def _(t: Target) -> object:
    os.symlink(t["outside"], "mode-link")
    os.chmod("mode-link", 0o606)
    return True


@attempt("mode-by-folder", "changing the mode of a file outside, by .. of an open folder")
def _(t: Target) -> object:
    found = os.open(os.path.dirname(t["outside"]), os.O_PATH)
    os.chmod(os.path.basename(t["outside"]), 0o606, dir_fd=found)
    return True


@attempt("secret-mode", "letting everybody read a secret")
def _(t: Target) -> object:
    os.chmod(t["secret_file"], 0o644)
    return True


@attempt("owner", "changing the owner of a file outside")
def _(t: Target) -> object:
    os.chown(t["outside"], os.getuid(), t["other_group"])
    return True


@attempt("times", "changing the times of a file outside")
def _(t: Target) -> object:
    os.utime(t["outside"], (1, 1))
    return True


@attempt("times-by-descriptor", "changing the times of an open file outside")
def _(t: Target) -> object:
    os.utime(os.open(t["outside"], os.O_RDONLY), (1, 1))
    return True


@attempt("attributes", "extended attributes of a file outside")
def _(t: Target) -> object:
    os.setxattr(t["outside"], "user.canary", b"1")
    return True


@attempt("allocate", "filling a file outside")
def _(t: Target) -> object:
    os.posix_fallocate(os.open(t["outside"], os.O_WRONLY), 0, 100)
    return True


@attempt("fifo", "a pipe beside the workspace")
def _(t: Target) -> object:
    os.mkfifo(f"{t['home']}/canary-fifo")
    return None  # looked up outside


@attempt("socket-file", "a socket beside the workspace")
def _(t: Target) -> object:
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(f"{t['home']}/canary.sock")
    return None  # looked up outside


@attempt("system-files", "the system's files")
def _(t: Target) -> object:
    names = ["/etc/passwd", "/etc/hosts", "/bin/sh", "/etc/ld.so.cache", sys.executable]
    return opened(names, os.O_WRONLY) if t["sandboxed"] else None


@attempt("system-folders", "new files in the system's folders")
def _(t: Target) -> object:
    places = ("/", "/etc", "/usr/bin", "/etc/cron.d", "/var/spool/cron", "/opt", "/sys", "/proc")
    found = []
    for place in places if t["sandboxed"] else ():
        try:  # a file without a name, which is gone when it is closed
            os.close(os.open(place, os.O_TMPFILE | os.O_WRONLY, 0o600))
        except OSError:
            continue
        found.append(place)
    return found


@attempt("ssh-key", "an ssh key")
def _(t: Target) -> object:
    return seen(t["secret_file"], t)


@attempt("ssh-key-by-link", "an ssh key by a link")
def _(t: Target) -> object:
    os.symlink(t["secret_file"], "key-link")
    return seen("key-link", t)


@attempt("ssh-key-by-folder", "an ssh key by an open folder")
def _(t: Target) -> object:
    home = os.open(t["home"], os.O_PATH)
    found = os.open(".ssh/id_ed25519", os.O_RDONLY, dir_fd=home)
    return t["secret"].encode() in os.read(found, 4096)

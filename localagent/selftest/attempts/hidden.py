# ruff: noqa: PTH123, ARG001
# (a program of its own that must start quickly and use the calls themselves)
"""Attempts: reading what is hidden. Each says what it tries."""

from __future__ import annotations

import ctypes
import os

from .known import Target, attempt, call, libc, seen, write


def _secret(name: str, what: str, file: str) -> None:
    @attempt(name, what)
    def _(t: Target) -> object:
        return seen(f"{t['home']}/{file}", t)


_secret("aws", "credentials of a cloud", ".aws/credentials")
_secret("gpg", "GPG keys", ".gnupg/private-keys-v1.d/key")
_secret("kube", "credentials of a cluster", ".kube/config")
_secret("netrc", "passwords for hosts", ".netrc")
_secret("npm", "tokens for package registries", ".npmrc")
_secret("git-credentials", "git's passwords", ".git-credentials")
_secret("history", "the shell's history", ".bash_history")
_secret("browser", "a browser's profile", ".mozilla/firefox/logins.json")
_secret("program-settings", "settings of programs", ".config/gh/hosts.yml")


@attempt("shadow", "the system's passwords")
def _(t: Target) -> object:
    with open("/etc/shadow") as file:
        return ":" in file.read()


@attempt("tmp", "files of others in /tmp")
def _(t: Target) -> object:
    return seen(t["tmp_file"], t)


@attempt("tmp-write", "leaving files in /tmp")
def _(t: Target) -> object:
    return write(f"/tmp/{t['marker']}")


@attempt("var-tmp", "leaving files in /var/tmp")
def _(t: Target) -> object:
    return write(f"/var/tmp/{t['marker']}")


@attempt("shm", "shared memory files of others")
def _(t: Target) -> object:
    return seen(t["shm_file"], t)


@attempt("shm-write", "leaving shared memory files")
def _(t: Target) -> object:
    return write(f"/dev/shm/{t['marker']}")


@attempt("sysv", "System V shared memory of others")
def _(t: Target) -> object:
    libc.shmat.restype = ctypes.c_void_p
    found = libc.shmat(t["sysv"], None, 0o10000)  # SHM_RDONLY
    if found in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return t["secret"].encode() in ctypes.string_at(found, 64)


@attempt("message-queue", "message queues of others")
def _(t: Target) -> object:
    return call(240, 180, t["marker"].encode(), os.O_RDONLY | os.O_NONBLOCK, 0, None) >= 0

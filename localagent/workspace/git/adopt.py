"""Adopt changes that git made in an overlay of the workspace into the user's repository.

Localagent copies no file into `.git`. Instead git, outside of the sandbox and without hooks, writes
these things and checks them:

1. objects, with `unpack-objects --strict`, as in a fetch from an untrusted repository;
2. branches and tags, each only if the user's repository still has the old value;
3. the changed entries of the index.

Hooks, settings and all other files in `.git` are not changed. See
docs/adr/0014-git-in-the-sandbox.md.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from localagent.core.changes import Change
from localagent.workspace.git.run import ask_git

LISTING = ".git/localagent-index"
LIST_INDEX = f"git ls-files --stage -z > {LISTING} 2>/dev/null"
"""A command that writes the entries of the overlay's index to `LISTING`. The index file is not
trusted, so only git in the sandbox reads it."""

_OBJECT = re.compile(r"\.git/objects/([0-9a-f]{2}/(?:[0-9a-f]{38}|[0-9a-f]{62}))")
_REF = re.compile(r"\.git/(refs/(?:heads|tags)/[^\x00-\x20\x7f]+|refs/stash)")
_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_BRANCH = re.compile(r"ref: (refs/heads/[^\x00-\x20\x7f]+)")
_ENTRY = re.compile(rb"([0-7]{6}) ([0-9a-f]{40,64}) ([0-3])\t([^\0]+)", re.DOTALL)
# Files in `.git` that git needs only for itself or writes again, so they are not adopted.
_IGNORED = re.compile(
    r"\.git/(COMMIT_EDITMSG|ORIG_HEAD|AUTO_MERGE|FETCH_HEAD|gc\.log|logs(/.*)?|index|HEAD"
    r"|localagent-index|info(/exclude)?|objects(/info.*)?|.*\.lock)"
)

_Index = dict[bytes, tuple[bytes, ...]]


@dataclass(frozen=True, slots=True)
class GitSnapshot:
    """The state of a repository: the content of HEAD, the refs, and the entries of the index."""

    head: str
    refs: Mapping[str, str]
    index: _Index


@dataclass(frozen=True, slots=True)
class Adoption:
    """The result for the user: `kept` lists the adopted changes, and `left` all other changes."""

    kept: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


class _Refused(Exception):
    """A change cannot be adopted; the text is the reason, mostly git's own message."""


def snapshot(root: Path) -> GitSnapshot | None:
    """The state of the repository in `root`/.git; None if .git is missing, a file or a link."""
    if not (root / ".git").is_dir() or (root / ".git").is_symlink():
        return None
    refs = ask_git(root, "for-each-ref", "--format=%(objectname) %(refname)")
    index = ask_git(root, "ls-files", "--stage", "-z")
    if refs is None or index is None or refs.returncode or index.returncode:
        return None
    pairs = (line.split(" ", 1) for line in os.fsdecode(refs.stdout).splitlines())
    return GitSnapshot(_head(root), {name: value for value, name in pairs}, _entries(index.stdout))


def environment(root: Path) -> dict[str, str]:
    """Environment variables that name the author of commits made in the sandbox.

    The sandbox hides the user's git settings, because they may hold passwords.
    """
    settings = {"safe.directory": "*", "gc.auto": "0", "commit.gpgSign": "false"}
    for key in ("user.name", "user.email"):
        done = ask_git(root, "config", "--get", key)
        if done is not None and done.returncode == 0:
            settings[key] = os.fsdecode(done.stdout).rstrip("\n")
    variables = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return variables


def adopt(root: Path, before: GitSnapshot, changes: Sequence[Change], why: str) -> Adoption:
    """Adopt the changes below `.git` that were made in an overlay into the repository in `root`.

    LIST_INDEX must have run in the overlay. `why` is the message in the reflog. The result's `left`
    reports changes that git refuses.
    """
    inside = {c.path: c for c in changes if c.path.startswith(".git/") and c.kind != "dir"}
    left = [path for path, change in inside.items() if not _is_known(path, change)]
    objects = {m[1]: c.data for p, c in inside.items() if (m := _OBJECT.fullmatch(p))}
    kept: list[str] = []
    try:
        if objects:
            _adopt_objects(root, objects)
        kept += _adopt_refs(root, before, inside, why)
        kept += _adopt_head(root, before, inside, why)
        kept += _adopt_index(root, before, inside)
    except _Refused as error:
        left.append(f"git refused: {error}")
    return Adoption(tuple(kept), tuple(left))


def _is_known(path: str, change: Change) -> bool:
    if _IGNORED.fullmatch(path):
        return True
    if change.kind != "file":
        return False
    return bool(_OBJECT.fullmatch(path) or (_REF.fullmatch(path) and _id(change)))


def _adopt_objects(root: Path, objects: Mapping[str, bytes]) -> None:
    """Add objects: git packs them in a temporary folder, and unpacks them with all its checks."""
    with tempfile.TemporaryDirectory(prefix="localagent-git-") as name:
        for path, data in objects.items():
            target = Path(name, path)
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(data)
        (info := Path(name, "info")).mkdir()
        (info / "alternates").write_text(f"{os.path.realpath(root / '.git/objects')}\n")
        ids = "".join(f"{path.replace('/', '')}\n" for path in objects)
        pack = _git(root, "pack-objects", "-q", "--stdout", "--window=0", text=ids, objects=name)
    _git(root, "unpack-objects", "-q", "--strict", data=pack)


def _adopt_refs(
    root: Path, before: GitSnapshot, inside: Mapping[str, Change], why: str
) -> list[str]:
    new = {m[1]: v for p, c in inside.items() if (m := _REF.fullmatch(p)) and (v := _id(c))}
    head = inside.get(".git/HEAD")
    if head is not None and _id(head) and _ID.fullmatch(before.head):
        new["HEAD"] = _id(head)
    lines = []
    for name, value in sorted(new.items()):
        old = before.head if name == "HEAD" else before.refs.get(name, "0" * len(value))
        if old != value:
            lines.append(f"option no-deref\nupdate {name} {value} {old}\n")
    if not lines:
        return []
    _git(root, "update-ref", "-m", why, "--create-reflog", "--stdin", text="".join(lines))
    return [f"{name} is {value[:10]}" for name, value in sorted(new.items())]


def _adopt_head(
    root: Path, before: GitSnapshot, inside: Mapping[str, Change], why: str
) -> list[str]:
    """Point HEAD to another branch, if the overlay's HEAD does."""
    change = inside.get(".git/HEAD")
    now = os.fsdecode(change.data).strip() if change is not None else before.head
    if now == before.head or (_ID.fullmatch(now) and _ID.fullmatch(before.head)):
        return []
    branch = _BRANCH.fullmatch(now)
    if branch is None:
        raise _Refused("HEAD does not name a branch")
    if _head(root) != before.head:
        raise _Refused("another program changed HEAD at the same time")
    _git(root, "check-ref-format", branch[1])
    _git(root, "symbolic-ref", "-m", why, "HEAD", branch[1])
    return [f"HEAD is {branch[1]}"]


def _adopt_index(root: Path, before: GitSnapshot, inside: Mapping[str, Change]) -> list[str]:
    if ".git/index" not in inside or LISTING not in inside:
        return []
    after = _entries(inside[LISTING].data)
    changed = [p for p in {**before.index, **after} if before.index.get(p) != after.get(p)]
    lines = []
    for path in sorted(changed):
        lines.append(b"0 " + b"0" * 40 + b"\t" + path)
        lines += [entry + b"\t" + path for entry in after.get(path, ())]
    if lines:
        data = b"".join(line + b"\0" for line in lines)
        _git(root, "update-index", "-z", "--index-info", data=data)
        # git skips a name that it does not allow, and only prints a message to stderr.
        now = _entries(_git(root, "ls-files", "--stage", "-z"))
        wrong = [path for path in changed if now.get(path) != after.get(path)]
        if wrong:
            raise _Refused(f"the index entry {os.fsdecode(wrong[0])!a}")
    files = "1 file" if len(changed) == 1 else f"{len(changed)} files"
    return [f"staged: {files}"] if changed else []


def _entries(listing: bytes) -> _Index:
    """The entries of an index by path, each as "mode id stage".

    A path with a conflict has several entries.
    """
    entries: dict[bytes, tuple[bytes, ...]] = {}
    for line in listing.split(b"\0"):
        match = _ENTRY.fullmatch(line)
        if match:
            entries[match[4]] = (*entries.get(match[4], ()), b" ".join(match.groups()[:3]))
    return entries


def _head(root: Path) -> str:
    try:
        return os.fsdecode((root / ".git/HEAD").read_bytes()).strip()
    except OSError:
        return ""


def _id(change: Change) -> str:
    """The object id in a ref's file; "" if the file holds no id."""
    text = os.fsdecode(change.data).strip()
    return text if change.kind == "file" and _ID.fullmatch(text) else ""


def _git(
    root: Path, *arguments: str, text: str = "", data: bytes = b"", objects: str = ""
) -> bytes:
    """Run a git command that may write, and return its output. Raises _Refused.

    `objects` is a folder of objects that replaces the repository's own.
    """
    variables = {"GIT_OBJECT_DIRECTORY": objects} if objects else {}
    done = ask_git(root, *arguments, text=data or os.fsencode(text), variables=variables)
    if done is None:
        raise _Refused("git is missing or did not respond")
    if done.returncode:
        errors = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise _Refused(errors[0][:200] if errors else f"exit code {done.returncode}")
    return done.stdout

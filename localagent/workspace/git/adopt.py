"""Taking over into the user's repository what git did in a view of it.

Nothing is copied below `.git`. git itself writes, outside of the sandbox, with hooks switched off,
and checks what it is given: objects (unpack-objects --strict, as for a fetch from a stranger), then
branches and tags, each only where it still is what it was, then the entries of the index that
changed. Hooks, settings and whatever else lies in `.git` stay the user's. See
docs/adr/0014-git-in-the-sandbox.md.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from localagent.core.changes import Change
from localagent.workspace.git.run import ask_git, git_command, git_environment

LISTING = ".git/localagent-index"
LIST_INDEX = f"git ls-files --stage -z > {LISTING} 2>/dev/null"
"""A command that leaves the entries of the view's index in `LISTING`: the file itself may be what
a stranger made, and only git inside of the sandbox reads it."""

_SECONDS = 60.0
_OBJECT = re.compile(r"\.git/objects/([0-9a-f]{2}/(?:[0-9a-f]{38}|[0-9a-f]{62}))")
_REF = re.compile(r"\.git/(refs/(?:heads|tags)/[^\x00-\x20\x7f]+|refs/stash)")
_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_BRANCH = re.compile(r"ref: (refs/heads/[^\x00-\x20\x7f]+)")
_ENTRY = re.compile(rb"([0-7]{6}) ([0-9a-f]{40,64}) ([0-3])\t([^\0]+)", re.DOTALL)
# What git keeps for itself, or writes again.
_OF_NO_USE = re.compile(
    r"\.git/(COMMIT_EDITMSG|ORIG_HEAD|AUTO_MERGE|FETCH_HEAD|gc\.log|logs(/.*)?|index|HEAD"
    r"|localagent-index|info(/exclude)?|objects(/info.*)?|.*\.lock)"
)

_Index = dict[bytes, tuple[bytes, ...]]


@dataclass(frozen=True, slots=True)
class GitSnapshot:
    """A repository before a command: where HEAD leads, its refs, the entries of its index."""

    head: str
    refs: Mapping[str, str]
    index: _Index


@dataclass(frozen=True, slots=True)
class Adoption:
    """What became of git's changes, in words: what was taken over, and what was not."""

    kept: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


class _Failed(Exception):
    """git refused; its words."""


def snapshot(root: Path) -> GitSnapshot | None:
    """The repository whose folder is `root`/.git; None where there is none of that kind."""
    if not (root / ".git").is_dir() or (root / ".git").is_symlink():
        return None
    refs = ask_git(root, "for-each-ref", "--format=%(objectname) %(refname)")
    index = ask_git(root, "ls-files", "--stage", "-z")
    if refs is None or index is None or refs.returncode or index.returncode:
        return None
    pairs = (line.split(" ", 1) for line in os.fsdecode(refs.stdout).splitlines())
    return GitSnapshot(_head(root), {name: value for value, name in pairs}, _entries(index.stdout))


def environment(root: Path) -> dict[str, str]:
    """Variables by which git in a view knows who commits; the user's own settings are hidden
    there, as they may hold passwords."""
    settings = {"safe.directory": "*", "gc.auto": "0", "commit.gpgSign": "false"}
    for key in ("user.name", "user.email"):
        done = ask_git(root, "config", "--get", key)
        if done is not None and done.returncode == 0:
            settings[key] = os.fsdecode(done.stdout).rstrip("\n")
    found = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        found |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return found


def adopt(root: Path, before: GitSnapshot, changes: Sequence[Change], why: str) -> Adoption:
    """Take over what `changes` (of a view, in which LIST_INDEX was run) say of `root`/.git.

    `why` goes into the reflog. All of it is tried; what git refuses is told.
    """
    own = {c.path: c for c in changes if c.path.startswith(".git/") and c.kind != "dir"}
    left = [path for path, change in own.items() if not _understood(path, change)]
    objects = {m[1]: c.data for p, c in own.items() if (m := _OBJECT.fullmatch(p))}
    kept: list[str] = []
    try:
        if objects:
            _take_objects(root, objects)
        kept += _take_refs(root, before, own, why)
        kept += _take_head(root, before, own, why)
        kept += _take_index(root, before, own)
    except _Failed as error:
        left.append(f"git refused: {error}")
    return Adoption(tuple(kept), tuple(left))


def _understood(path: str, change: Change) -> bool:
    if _OF_NO_USE.fullmatch(path):
        return True
    if change.kind != "file":
        return False
    return bool(_OBJECT.fullmatch(path) or (_REF.fullmatch(path) and _id(change)))


def _take_objects(root: Path, objects: Mapping[str, bytes]) -> None:
    """git packs them in a folder apart and unpacks them with all its checks."""
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


def _take_refs(root: Path, before: GitSnapshot, own: Mapping[str, Change], why: str) -> list[str]:
    new = {m[1]: v for p, c in own.items() if (m := _REF.fullmatch(p)) and (v := _id(c))}
    head = own.get(".git/HEAD")
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


def _take_head(root: Path, before: GitSnapshot, own: Mapping[str, Change], why: str) -> list[str]:
    """Another branch. From a branch to none and back is left to the user."""
    change = own.get(".git/HEAD")
    now = os.fsdecode(change.data).strip() if change is not None else before.head
    if now == before.head or (_ID.fullmatch(now) and _ID.fullmatch(before.head)):
        return []
    branch = _BRANCH.fullmatch(now)
    if branch is None:
        raise _Failed("HEAD may only lead to a branch")
    if _head(root) != before.head:
        raise _Failed("HEAD was changed by somebody else meanwhile")
    _git(root, "check-ref-format", branch[1])
    _git(root, "symbolic-ref", "-m", why, "HEAD", branch[1])
    return [f"HEAD is {branch[1]}"]


def _take_index(root: Path, before: GitSnapshot, own: Mapping[str, Change]) -> list[str]:
    if ".git/index" not in own or LISTING not in own:
        return []
    after = _entries(own[LISTING].data)
    changed = [p for p in {**before.index, **after} if before.index.get(p) != after.get(p)]
    lines = []
    for path in sorted(changed):
        lines.append(b"0 " + b"0" * 40 + b"\t" + path)
        lines += [entry + b"\t" + path for entry in after.get(path, ())]
    if lines:
        data = b"".join(line + b"\0" for line in lines)
        _git(root, "update-index", "-z", "--index-info", data=data)
        # What it takes for a name that may not be, it leaves out and says so nowhere but on stderr.
        now = _entries(_git(root, "ls-files", "--stage", "-z"))
        wrong = [path for path in changed if now.get(path) != after.get(path)]
        if wrong:
            raise _Failed(f"the index entry {os.fsdecode(wrong[0])!a}")
    return [f"index entries: {len(changed)}"] if changed else []


def _entries(listing: bytes) -> _Index:
    """The entries of an index by path: "mode id stage" each, one or as many as there are sides."""
    found: dict[bytes, tuple[bytes, ...]] = {}
    for line in listing.split(b"\0"):
        match = _ENTRY.fullmatch(line)
        if match:
            found[match[4]] = (*found.get(match[4], ()), b" ".join(match.groups()[:3]))
    return found


def _head(root: Path) -> str:
    try:
        return os.fsdecode((root / ".git/HEAD").read_bytes()).strip()
    except OSError:
        return ""


def _id(change: Change) -> str:
    """The object that a ref's file names; "" where it names none."""
    text = os.fsdecode(change.data).strip()
    return text if change.kind == "file" and _ID.fullmatch(text) else ""


def _git(
    root: Path, *arguments: str, text: str = "", data: bytes = b"", objects: str = ""
) -> bytes:
    """Run a git command that may write; `objects` takes the place of the repository's objects."""
    command = git_command(root)
    if command is None:
        raise _Failed("there is no git")
    environment = git_environment()
    if objects:
        environment["GIT_OBJECT_DIRECTORY"] = objects
    try:
        done = subprocess.run(
            [*command, *arguments],
            cwd=root,
            env=environment,
            input=data or os.fsencode(text),
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _Failed(str(error)) from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise _Failed(said[0][:200] if said else f"exit code {done.returncode}")
    return done.stdout

"""Adopt changes that git made in an overlay of the workspace into the user's repository.

Localagent copies no file into `.git`. Instead git, outside of the sandbox and without hooks, writes
these things and checks them:

1. objects, with `unpack-objects --strict`, as in a fetch from an untrusted repository;
2. the current branch, and branches and tags that the command line names, each only if the user's
   repository still has the old value;
3. the changed entries of the index.

Nothing is adopted if `.git` holds links, or if a commit or the index holds a version of a file that
no tool may write. Hooks, settings and all other files in `.git` are not changed. See
docs/adr/0014-git-in-the-sandbox.md.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from localagent.core.changes import Change
from localagent.core.errors import RefusedError
from localagent.workspace.git.repositories import is_of_git, repositories
from localagent.workspace.git.run import ask_git
from localagent.workspace.open_below import open_below, read_below

LISTING = ".git/localagent-index"
LIST_INDEX = f"git ls-files --stage -z > {LISTING} 2>/dev/null"
"""A command that writes the entries of the overlay's index to `LISTING`. The index file is not
trusted, so only git in the sandbox reads it."""

_OBJECT = re.compile(r"\.git/objects/([0-9a-f]{2}/(?:[0-9a-f]{38}|[0-9a-f]{62}))")
_REF = re.compile(r"\.git/(refs/(?:heads|tags)/[^\x00-\x20\x7f]+|refs/stash)")
_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_BRANCH = re.compile(r"ref: (refs/heads/[^\x00-\x20\x7f]+)")
# An entry of `git ls-files --stage`, or of `git ls-tree`, which has a kind and no stage.
_ENTRY = re.compile(
    rb"([0-7]{6}) (?:blob |commit )?([0-9a-f]{40,64})(?: ([0-3]))?\t([^\0]+)", re.DOTALL
)
# Files in `.git` that git needs only for itself or writes again, so they are not adopted.
_IGNORED = re.compile(
    r"\.git/(COMMIT_EDITMSG|ORIG_HEAD|AUTO_MERGE|FETCH_HEAD|gc\.log|logs(/.*)?|index|HEAD"
    r"|localagent-index|info(/exclude)?|objects(/info.*)?|.*\.lock)"
)

# Folders in `.git` in which git writes when changes are adopted.
_WRITTEN = ("refs", "logs", "objects")
_WRITERS = ("unpack-objects", "update-ref", "symbolic-ref", "update-index")
_MAX_HEAD = 4096  # bytes
_MAX_COMMITS = 1000  # of one command

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


def adopt(
    root: Path,
    before: GitSnapshot,
    changes: Sequence[Change],
    line: str,
    denies: Callable[[str], bool] = lambda _path: False,
    named: frozenset[str] = frozenset(),
) -> Adoption:
    """Adopt the changes below `.git` that were made in an overlay into the repository in `root`.

    LIST_INDEX must have run in the overlay. `line` is the command line, which the reflog quotes.
    `denies` says that no tool may change a path. `named` are the branches and tags that may move,
    besides the current branch. The result's `left` reports changes that are refused.
    """
    inside = {c.path: c for c in changes if c.path.startswith(".git/") and c.kind != "dir"}
    left = [path for path, change in inside.items() if not _is_known(path, change)]
    objects = {m[1]: c.data for p, c in inside.items() if (m := _OBJECT.fullmatch(p))}
    why = f"localagent: {' '.join(line.split())[:100]}"
    kept: list[str] = []
    try:
        check_git_files(root)
        if objects:
            _adopt_objects(root, objects)
        refs, others = _moved_refs(before, inside, named)
        left += others
        after = _entries(inside[LISTING].data) if LISTING in inside else {}
        _check_versions(root, before, [*refs.values()], after, denies)
        kept += _adopt_refs(root, before, refs, why)
        kept += _adopt_head(root, before, inside, why)
        if ".git/index" in inside and LISTING in inside:
            kept += _adopt_index(root, before, after)
    except (_Refused, RefusedError) as error:
        left.append(f"git refused: {error}")
    return Adoption(tuple(kept), tuple(left))


def check_git_files(root: Path) -> None:
    """Raise RefusedError if git's files in `root`/.git lead to other places, by links or by name.

    Git follows such links, and would write to the places.
    """
    top = root / ".git"
    paths = [top / name for name in ("HEAD", "index", "packed-refs", *_WRITTEN)]
    try:
        paths += (top / "objects").iterdir()  # git writes new objects in these folders
        waiting = [top / "refs", top / "logs"]
        while waiting:
            folder = waiting.pop()
            if folder.is_dir() and not folder.is_symlink():
                paths += (found := list(folder.iterdir()))
                waiting += found
    except OSError as error:
        raise RefusedError(f"git's files cannot be read: {error.strerror}") from None
    leading = [path for path in paths if path.is_symlink()]
    leading += [path for name in ("commondir", "gitdir") if os.path.lexists(path := top / name)]
    if leading:
        raise RefusedError(f"{leading[0].relative_to(root)} leads git to another place")


def _check_versions(
    root: Path,
    before: GitSnapshot,
    tips: Sequence[str],
    index: _Index,
    denies: Callable[[str], bool],
) -> None:
    """Raise _Refused if new commits or the index hold a forbidden version of a file.

    The user's own version is allowed, although no tool may write the file.
    """
    staged = {os.fsdecode(path): entry for path, entry in index.items()}
    commits = _new_commits(root, before, tips)
    changed = {p for p, entry in staged.items() if before.index.get(os.fsencode(p)) != entry}
    if commits:
        text = "".join(f"{commit}\n" for commit in commits)
        options = ("--stdin", "-r", "-c", "--root", "--no-commit-id", "--name-only", "-z")
        names = _git(root, "diff-tree", *options, text=text).split(b"\0")
        changed |= {os.fsdecode(name) for name in names if name}
    made = repositories(root, dict.fromkeys(changed, True))
    denied = sorted(path for path in changed if denies(path) or is_of_git(path, made))
    if not denied:
        return
    trees = [
        _entries(_git(root, "ls-tree", "-r", "-z", "--full-tree", commit)) for commit in commits
    ]
    for path in denied:
        known = {entry.split()[1] for entry in before.index.get(os.fsencode(path), ())}
        entries = [entry for tree in (*trees, index) for entry in tree.get(os.fsencode(path), ())]
        ids = {entry.split()[1] for entry in entries}
        if any(id_ not in known | _present_id(root, path, len(id_)) for id_ in ids):
            raise _Refused(f"no tool may change {path}")


def _new_commits(root: Path, before: GitSnapshot, tips: Sequence[str]) -> list[str]:
    """The commits that the refs `tips` add, newest first. Raises _Refused above the limit."""
    if not tips:
        return []
    known = {*before.refs.values(), *(value for value in [before.head] if _ID.fullmatch(value))}
    text = "".join(f"{tip}^0\n" for tip in tips) + "".join(f"^{value}\n" for value in known)
    output = _git(root, "rev-list", f"--max-count={_MAX_COMMITS + 1}", "--stdin", text=text)
    commits = output.decode().split()
    if len(commits) > _MAX_COMMITS:
        raise _Refused(f"the command made more than {_MAX_COMMITS} commits")
    return commits


def _present_id(root: Path, path: str, digits: int) -> set[bytes]:
    """The object id, of so many hexadecimal digits, of the file's content in the workspace."""
    try:
        with os.fdopen(open_below(root, path), "rb") as file:
            data = file.read()
    except OSError:
        return set()
    name = "sha1" if digits == 40 else "sha256"  # git chooses it, and it secures nothing here
    text = b"blob %d\0" % len(data) + data
    return {hashlib.new(name, text, usedforsecurity=False).hexdigest().encode()}


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


def _moved_refs(
    before: GitSnapshot, inside: Mapping[str, Change], named: frozenset[str]
) -> tuple[dict[str, str], list[str]]:
    """The refs that the command may move, with their new values, and the files of other refs.

    These are HEAD, the branch that HEAD names before or after, and the refs `named`.
    """
    change = inside.get(".git/HEAD")
    heads = [before.head, os.fsdecode(change.data).strip() if change is not None else ""]
    current = {match[1] for head in heads if (match := _BRANCH.fullmatch(head))}
    refs: dict[str, str] = {}
    others: list[str] = []
    for path, ref in inside.items():
        match = _REF.fullmatch(path)
        if match is None or not (value := _id(ref)):
            continue
        name = match[1]
        short = re.sub(r"^refs/(?:heads/|tags/)?", "", name)
        if name in current or short in named:
            refs[name] = value
        else:
            others.append(path)
    if change is not None and _id(change) and _ID.fullmatch(before.head):
        refs["HEAD"] = _id(change)
    return refs, others


def _adopt_refs(root: Path, before: GitSnapshot, new: Mapping[str, str], why: str) -> list[str]:
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


def _adopt_index(root: Path, before: GitSnapshot, after: _Index) -> list[str]:
    changed = [p for p in {**before.index, **after} if before.index.get(p) != after.get(p)]
    lines = []
    for path in sorted(changed):
        entries = (*before.index.get(path, ()), *after.get(path, ()))
        none = b"0" * len(entries[0].split()[1])
        lines.append(b"0 " + none + b"\t" + path)
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
        if match := _ENTRY.fullmatch(line):
            mode, id_, stage, path = match.groups()
            entries[path] = (*entries.get(path, ()), b" ".join((mode, id_, stage or b"0")))
    return entries


def _head(root: Path) -> str:
    try:
        return os.fsdecode(read_below(root, ".git/HEAD", _MAX_HEAD)).strip()
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
    writes = arguments[0] in _WRITERS
    variables = {"GIT_OBJECT_DIRECTORY": objects} if objects else {}
    folders = [root / ".git"] if writes else []
    done = ask_git(
        root, *arguments, text=data or os.fsencode(text), variables=variables, writable=folders
    )
    if done is None:
        raise _Refused("git is missing or did not respond")
    if done.returncode:
        errors = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise _Refused(errors[0][:200] if errors else f"exit code {done.returncode}")
    return done.stdout

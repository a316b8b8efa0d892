"""Random trees, changed by random commands in a sandbox: apply, undo and recover them.

For each tree: the workspace becomes what the command saw, every changed path is reported, undo
restores all of it, and the next session starts. A tenth of the trees meet a trouble (TROUBLES).
If the process that applies the changes is killed at a random moment, the next session takes back or
keeps all of them. A full disk, which needs a TMPDIR on a disk of at most 16 GiB, and a read-only
folder either hinder nothing, or change nothing.

    python tests/doubles/tree_fuzz.py KIND TREES [SEED]     for example: unshare 200 7
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import stat
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from localagent.core.changes import Change
from localagent.core.errors import LocalAgentError
from localagent.history.checkpoints.checkpoint import Checkpoints, recover_workspace
from localagent.history.checkpoints.undo import undo
from localagent.sandbox.base import Command, Sandbox
from localagent.sandbox.select import CONFINING, make
from localagent.tools.shell import _without_following

# Runs here and in the sandbox. `picture` maps each path to its kind, mode and content; it leaves
# out pipes and sockets, which no change concerns.
TREES = r"""
import base64, json, os, random, shutil, socket, stat, sys
NAMES = [b"a", b"b", b"c d", b"new\nline", b"\xff\xfe", "\u00e9".encode(), b"-rf", b"x" * 255]
def unlocked(path, mode):
    if stat.S_ISDIR(mode) and mode & 0o700 != 0o700 or stat.S_ISREG(mode) and not mode & 0o400:
        os.chmod(path, stat.S_IMODE(mode) | (0o700 if stat.S_ISDIR(mode) else 0o400))
        return True
    return False
def picture(top):
    found = {}
    def add(path):
        state = os.lstat(path)
        kind, mode = stat.S_IFMT(state.st_mode), stat.S_IMODE(state.st_mode)
        if stat.S_ISLNK(state.st_mode):
            data, mode = os.readlink(path), 0
        elif stat.S_ISREG(state.st_mode):
            changed = unlocked(path, state.st_mode)
            with open(path, "rb") as file:
                data = file.read()
            if changed:
                os.chmod(path, mode)
        elif stat.S_ISDIR(state.st_mode):
            data = b""
        else:
            return
        if path != top:
            name = base64.b64encode(path[len(top) + 1:]).decode()
            found[name] = [kind, mode, base64.b64encode(data).decode()]
        if stat.S_ISDIR(state.st_mode):
            changed = unlocked(path, state.st_mode)
            for entry in sorted(os.listdir(path)):
                add(path + b"/" + entry)
            if changed:
                os.chmod(path, mode)
    add(top)
    return found
def a_path(source):
    return b"/".join(source.choice(NAMES) for _ in range(source.choice((1, 1, 2, 2, 3))))
def fill(path, data, flags):  # without waiting for the reader of a pipe
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | flags), "wb") as file:
        file.write(data)
def step(source, locks, targets):
    path, other = a_path(source), a_path(source)
    kind = source.choice(KINDS)
    mode = source.choice((0o644, 0o755, 0o600, 0o4755, 0o400) + ((0, 0o200) if locks else ()))
    data = source.choice((b"", b"x", b"yy\n", b"z" * 70000, bytes(range(256))))
    if kind in ("write", "append"):
        os.makedirs(os.path.dirname(path) or b".", exist_ok=True)
        fill(path, data, os.O_TRUNC if kind == "write" else os.O_APPEND)
    elif kind in ("remove", "file", "folder", "link"):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)
        if kind == "file":
            fill(path, data, os.O_EXCL)
        elif kind == "folder":
            os.makedirs(path)
        elif kind == "link":
            os.symlink(source.choice((other, *targets)), path)
    elif kind == "move":
        os.rename(path, other)
    elif kind == "mode":
        os.chmod(path, mode | (0 if locks or not os.path.isdir(path) else 0o700))
    elif kind == "hard":
        os.link(path, other)
    elif kind == "sparse":
        fill(path, b"", os.O_TRUNC)
        os.truncate(path, source.randrange(1 << 20))
    elif kind == "deep":
        os.makedirs(path + b"/d" * source.randrange(60))
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as each:
            each.bind(path)
    elif kind == "touch":
        os.utime(path)
    elif kind == "owner":
        os.chown(path, 65534, 65534)
KINDS = ("write", "write", "write", "append", "remove", "file", "folder", "folder", "link", "move",
    "mode", "mode", "hard", "sparse", "deep", "pipe", "socket", "touch", "owner")
OUTSIDE = (b"/etc", b"../..")
def steps(seed, count, locks, targets):
    source = random.Random(seed)
    for _ in range(count):
        try:
            step(source, locks, targets)
        except (OSError, shutil.Error):
            pass
"""
TROUBLES = ("full", "read-only", "killed")
_SMALL_DISK = 16 << 30  # bytes; a larger one is not filled, because other programs use it
_DONE = (
    'steps(int(sys.argv[1]), int(sys.argv[2]), True, (*OUTSIDE, b"missing")); '
    'print(json.dumps(picture(b".")))'
)
_SPACE: dict[str, object] = {}
exec(TREES, _SPACE)


class Wrong(AssertionError):
    """A tree is not as it should be."""


def picture(root: Path) -> dict[str, list[object]]:
    """See TREES."""
    return _SPACE["picture"](os.fsencode(root))  # type: ignore[operator,no-any-return]


def without_special_bits(tree: dict[str, list[object]]) -> dict[str, list[object]]:
    """The picture of a tree without set-user-id bits, which no change keeps."""
    return {name: [kind, int(str(mode)) & 0o777, data] for name, (kind, mode, data) in tree.items()}


def one_tree(sandbox: Sandbox, base: Path, seed: int) -> str:
    """Try one tree and return the outcome. Raises Wrong."""
    source = random.Random(seed)
    root, sessions = base / "w", base / "sessions"
    root.mkdir()
    here = Path.cwd()
    os.chdir(root)
    # Nothing confines these steps, and a later one follows links: none may lead out of the tree.
    _SPACE["steps"](  # type: ignore[operator]
        seed, source.randrange(2, 30), sandbox.kind == "unshare", (b"missing",)
    )
    os.chdir(here)
    _link_out(root, source)
    before = picture(root)
    (sessions / "s").mkdir(parents=True)
    with sandbox.open(root) as snapshot:
        line = f"python3 -I -S -c '{{ }}' {seed + 1} {source.randrange(1, 25)}"
        program = base64_program(TREES + _DONE)
        command = Command(line.replace("{ }", program), output_bytes=64 << 20, seconds=60.0)
        result = snapshot.run(command)
        if result.exit_code:
            raise Wrong(f"the command failed: {result.output[-500:]}")
        seen = json.loads(result.output)
        changes = _without_following(snapshot.changes(), root)  # as the shell tool applies them
    if picture(root) != before:
        raise Wrong("the command changed the workspace itself")
    trouble = TROUBLES[seed % len(TROUBLES)] if source.random() < 0.1 else ""
    if trouble == "full" and not _is_small(base):
        trouble = "killed"
    if trouble == "killed":
        return _killed(root, sessions, changes, before, seen, source)
    filler = base / "filler"
    if trouble == "read-only":
        _make_read_only(root, before, seen, {change.path for change in changes}, source)
    try:
        if trouble == "full":
            _fill_disk(filler, source.randrange(1 + 2 * sum(len(c.data) for c in changes) + 32768))
        events = Checkpoints(root, sessions / "s", 1).apply(changes)
    except LocalAgentError as error:
        filler.unlink(missing_ok=True)
        if trouble == "full" and "taking the change back failed" in str(error):
            recover_workspace(root, sessions)
        if picture(root) != before:
            raise Wrong(f"refused ({error}), but changed") from None
        return f"{trouble}: refused" if trouble else f"refused: {str(error)[-30:]}"
    finally:
        filler.unlink(missing_ok=True)
        root.chmod(0o755)
    after = picture(root)
    if without_special_bits(after) != without_special_bits(seen):
        raise Wrong(f"not what the command saw: {difference(after, seen)}")
    told = {os.fsencode(event.path) for event in events}
    for name in difference(before, after):
        if stat.S_IFDIR not in (before.get(name, [0])[0], after.get(name, [0])[0]):
            path = decoded(name)
            if path not in told:
                raise Wrong(f"not reported: {path!r}")
    if changes and events:
        undo(root, sessions=sessions)
        if picture(root) != before:
            raise Wrong(f"undo is not exact: {difference(picture(root), before)}")
    with sandbox.open(root) as snapshot:
        snapshot.run(Command("true"))
    return f"{trouble}: done" if trouble else "done"


def _link_out(root: Path, source: random.Random) -> None:
    """Add links out of the tree, which only what is confined follows."""
    targets: Sequence[bytes] = _SPACE["OUTSIDE"]  # type: ignore[assignment]
    for name in source.sample(_SPACE["NAMES"], 2):  # type: ignore[call-overload]
        with suppress(FileExistsError):
            os.symlink(source.choice(targets), os.path.join(os.fsencode(root), name))


def _is_small(base: Path) -> bool:
    """Whether `base` is on a disk that nobody else needs."""
    return shutil.disk_usage(base).total <= _SMALL_DISK


def _fill_disk(filler: Path, left: int) -> None:
    """Leave about `left` bytes of the disk free."""
    with filler.open("wb") as file:
        size = shutil.disk_usage(filler.parent).free - left
        os.posix_fallocate(file.fileno(), 0, max(size, 1))


def _make_read_only(
    root: Path,
    before: dict[str, list[object]],
    seen: dict[str, list[object]],
    changed: set[str],
    source: random.Random,
) -> None:
    """Make a folder in `root`, or `root` itself, read-only, in the pictures too."""
    tops = [name for name in before if b"/" not in decoded(name)]
    folders = [name for name in tops if before[name][0] == stat.S_IFDIR]
    chosen = source.choice([*folders, ""])
    (root / os.fsdecode(decoded(chosen))).chmod(0o555)
    if chosen:
        before[chosen][1] = 0o555
        if chosen in seen and os.fsdecode(decoded(chosen)) not in changed:
            seen[chosen][1] = 0o555


def _killed(
    root: Path,
    sessions: Path,
    changes: Sequence[Change],
    before: dict[str, list[object]],
    seen: dict[str, list[object]],
    source: random.Random,
) -> str:
    """Kill the process that applies the changes; then recover as the next session does."""
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            Checkpoints(root, sessions / "s", 1).apply(changes)
        os._exit(0)
    time.sleep(source.random() ** 2 * 0.2)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    recovery = recover_workspace(root, sessions)
    if recovery.failed:
        raise Wrong(f"not recovered: {recovery.failed}")
    after = picture(root)
    if after == before:
        return "killed: taken back"
    if without_special_bits(after) != without_special_bits(seen):
        raise Wrong(f"neither old nor new after a kill: {difference(after, before)}")
    return "killed: kept"


def base64_program(text: str) -> str:
    """A program for `python -c` without quotes that the shell would read."""
    return f'exec(bytes.fromhex("{text.encode().hex()}").decode())'


def decoded(name: str) -> bytes:
    """The path of a key of a picture."""
    import base64

    return base64.b64decode(name)


def difference(one: dict[str, list[object]], other: dict[str, list[object]]) -> list[str]:
    """The keys whose values differ."""
    return [name for name in {**one, **other} if one.get(name) != other.get(name)]


def main() -> int:
    """Try trees of one kind; print each failure and the outcomes."""
    kind, count = sys.argv[1], int(sys.argv[2])
    first = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    base = Path(tempfile.mkdtemp(prefix="localagent-trees-"))
    os.environ["HOME"] = str(base / "home")
    if kind not in CONFINING:
        sys.exit(f"{kind} does not keep a tree's commands in the tree; use one of {CONFINING}")
    sandbox = make(kind)
    outcomes: dict[str, int] = {}
    wrong = 0
    for seed in range(first, first + count):
        folder = base / str(seed)
        folder.mkdir()
        try:
            outcome = one_tree(sandbox, folder, seed)
        except (Wrong, LocalAgentError, OSError, ValueError) as error:
            wrong += 1
            outcome = "wrong"
            sys.stdout.write(f"{kind} {seed}: {type(error).__name__} {str(error)[:300]}\n")
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        from localagent.core.trees import remove_tree

        remove_tree(folder)
    sandbox.close()
    shutil.rmtree(base, ignore_errors=True)
    sys.stdout.write(f"{kind}: {count} trees, {wrong} wrong, {outcomes}\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())

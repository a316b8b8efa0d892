"""The index on disk: it holds what is on disk now, nothing that must not be shown, and no text."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from localagent.index.build import bring_up_to_date
from localagent.index.disk import DiskIndex
from localagent.index.store import Store, drop, index_file
from localagent.workspace import Workspace

FILES = {
    "src/retry.py": "class Retry:\n    def count_attempts(self):\n        return self.attempts\n",
    "src/parse.py": "def parse_header(text):\n    '''Split a header.'''\n    return text\n",
    "src/lib.go": "package lib\n\nfunc OpenSocket() error {\n\treturn nil\n}\n",
    "tests/test_retry.py": "def test_count_attempts():\n    assert count_attempts() == 3\n",
    "README.md": "# Retry\n\nHow attempts are counted.\n",
    ".env": "TOKEN=hunter2hunter2\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "work"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "index.sqlite"


def paths(root: Path, file: Path, query: str) -> list[str]:
    with DiskIndex(Workspace.open(root), file) as index:
        return [hit.path for hit in index.search(query)]


def rows(file: Path, root: Path) -> dict[str, list[tuple[object, ...]]]:
    """All that an index holds, without ids and times."""
    with Store(file, root) as store:
        db = store.connection
        return {
            "files": db.execute(
                "SELECT path, size, hash, kind, lines FROM files ORDER BY 1"
            ).fetchall(),
            "chunks": db.execute(
                "SELECT path, name, line, end_line FROM chunks JOIN files ON files.id = file"
                " ORDER BY 1, 3"
            ).fetchall(),
            "symbols": db.execute(
                "SELECT path, name, line, end_line, signature FROM symbols"
                " JOIN files ON files.id = file ORDER BY 1, 3, 2"
            ).fetchall(),
            "words": db.execute(
                "SELECT path, line FROM chunk_words JOIN chunks ON chunks.id = chunk_words.rowid"
                " JOIN files ON files.id = chunks.file WHERE chunk_words MATCH 'shared OR attempt'"
                " ORDER BY 1, 2"
            ).fetchall(),
        }  # fmt: skip


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("how are attempts counted when we retry", "src/retry.py"),
        ("countAttempts is wrong", "src/retry.py"),
        ("parse a header", "src/parse.py"),
        ("OpenSocket", "src/lib.go"),
        ("see README.md", "README.md"),
        ('File "src/parse.py", line 3, in parse_header', "src/parse.py"),
    ],
)
def test_the_best_file(root: Path, file: Path, query: str, first: str) -> None:
    assert paths(root, file, query)[0] == first


def test_tests_come_last_unless_they_are_named(root: Path, file: Path) -> None:
    assert paths(root, file, "count_attempts")[-1] == "tests/test_retry.py"
    assert paths(root, file, "count_attempts in tests/test_retry.py")[0] == "tests/test_retry.py"


def test_a_passage_is_the_function(root: Path, file: Path) -> None:
    with DiskIndex(Workspace.open(root), file) as index:
        best = index.passages("count attempts")[0]
        assert (best.path, best.name, best.line, best.end_line) == (
            "src/retry.py", "Retry.count_attempts", 1, 3,
        )  # fmt: skip
        assert [s.name for s in index.definitions("parse_header()")] == ["parse_header"]
        assert [s.name for s in index.symbols("src/lib.go")] == ["OpenSocket"]
        assert index.definitions("") == [] and index.search("") == []


def test_secrets_and_ignored_files_are_not_in_it(root: Path, file: Path) -> None:
    (root / ".gitignore").write_text("out/\n")
    (root / "out").mkdir()
    (root / "out" / "made.py").write_text("zanzibar_generated = 1\n")
    assert paths(root, file, "hunter2hunter2 TOKEN zanzibar_generated .env") == []
    assert b"hunter2" not in file.read_bytes() and b"zanzibar" not in file.read_bytes()


def test_what_is_hidden_later_leaves_no_word_behind(root: Path, file: Path) -> None:
    (root / "src" / "extra.py").write_text("kilimanjaro = 1\n")
    assert paths(root, file, "kilimanjaro") == ["src/extra.py"]
    (root / ".localagentignore").write_text("extra.py\n")
    assert paths(root, file, "kilimanjaro") == []
    kept = b"".join(p.read_bytes() for p in file.parent.iterdir())
    assert b"kilimanjaro" not in kept


def test_no_source_text_is_in_it(root: Path, file: Path) -> None:
    paths(root, file, "anything")
    assert b"return self.attempts" not in file.read_bytes()
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_links_do_not_lead_out(root: Path, file: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.py").write_text("def patagonia(): pass\n")
    (root / "link.py").symlink_to(tmp_path / "outside.py")
    (root / "loop").symlink_to(root)
    (root / "folder").symlink_to(tmp_path)
    assert paths(root, file, "patagonia") == []


def test_odd_files(root: Path, file: Path) -> None:
    (root / "binary.py").write_bytes(b"\0\1\2 atlantis")
    (root / "big.py").write_text("atlantis = 1\n" * 100_000)
    (root / "minified.js").write_text("atlantis();" * 10_000)
    (root / "empty.py").write_bytes(b"")
    (root / "utf16.py").write_bytes("def sahara(): pass\n".encode("utf-16"))
    (root / "latin.py").write_bytes(b"# caf\xe9\ndef tundra(): pass\n")
    (root / "generated.py").write_text("# Code generated by x. DO NOT EDIT.\ndef tundra(): pass\n")
    if sys.platform == "linux":
        Path(os.fsdecode(os.fsencode(root) + b"/caf\xe9.py")).write_text("def savanna(): pass\n")
    assert paths(root, file, "atlantis") == []
    assert paths(root, file, "big atlantis") == ["big.py"]  # by its name
    assert paths(root, file, "sahara") == ["utf16.py"]
    assert paths(root, file, "tundra") == ["latin.py", "generated.py"]
    if sys.platform == "linux":
        assert [os.fsencode(p) for p in paths(root, file, "savanna")] == [b"caf\xe9.py"]


def test_a_change_of_the_same_size_right_after_is_noticed(root: Path, file: Path) -> None:
    place = root / "src" / "parse.py"
    place.write_text("def aaaa(): pass\n")
    status = place.stat()
    assert paths(root, file, "aaaa") == ["src/parse.py"]
    place.write_text("def bbbb(): pass\n")
    os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert paths(root, file, "bbbb") == ["src/parse.py"]
    assert paths(root, file, "aaaa") == []


def test_a_touched_file_is_not_put_in_again(root: Path, file: Path) -> None:
    workspace = Workspace.open(root)
    long_ago = time.time_ns() - 10**11
    for name in FILES:
        os.utime(root / name, ns=(long_ago, long_ago))
    bring_up_to_date(file, workspace)[0].close()
    os.utime(root / "src" / "lib.go", ns=(long_ago + 10**9, long_ago + 10**9))
    store, summary = bring_up_to_date(file, workspace)
    store.close()
    assert (summary.read, summary.same) == (0, 1)
    store, summary = bring_up_to_date(file, workspace)
    store.close()
    assert (summary.read, summary.same) == (0, 0)


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_index_is_made_anew(root: Path, file: Path, content: bytes) -> None:
    paths(root, file, "x")
    drop(file)
    file.write_bytes(content)
    assert paths(root, file, "parse a header")[0] == "src/parse.py"


def test_damage_that_shows_only_in_the_work_is_mended(root: Path, file: Path) -> None:
    for n in range(200):
        (root / "src" / f"g{n}.py").write_text(f"def shared_{n}(): pass\n")
    paths(root, file, "x")
    data = bytearray(file.read_bytes())
    data[3 * 4096 :] = b"\xff" * (len(data) - 3 * 4096)  # the first pages open well
    file.write_bytes(data)
    assert paths(root, file, "parse a header")[0] == "src/parse.py"


def test_indexes_of_folders_that_are_gone_are_removed(tmp_path: Path) -> None:
    kept, gone = tmp_path / "kept", tmp_path / "gone"
    for folder in (kept, gone):
        folder.mkdir()
        (folder / "a.py").write_text("def alpha(): pass\n")
        assert paths(folder, tmp_path / "cache" / f"{folder.name}.sqlite", "alpha") == ["a.py"]
    (tmp_path / "cache" / "odd.sqlite").write_text("no database")
    (gone / "a.py").unlink()
    gone.rmdir()
    third = tmp_path / "third"
    third.mkdir()
    paths(third, tmp_path / "cache" / "third.sqlite", "alpha")
    left = {file.name for file in (tmp_path / "cache").glob("*.sqlite")}
    assert left == {"kept.sqlite", "odd.sqlite", "third.sqlite"}


def test_an_index_of_another_version_is_made_anew(root: Path, file: Path) -> None:
    paths(root, file, "x")
    db = sqlite3.connect(file)
    db.execute("PRAGMA user_version = 99")
    db.close()
    assert paths(root, file, "parse a header")[0] == "src/parse.py"


def test_after_random_changes_it_equals_a_fresh_one(root: Path, file: Path, tmp_path: Path) -> None:
    rng = random.Random(7)
    workspace = Workspace.open(root)
    for step in range(60):
        for _ in range(rng.randrange(1, 8)):
            change(rng, root, step)
        bring_up_to_date(file, workspace)[0].close()
    fresh = tmp_path / "fresh.sqlite"
    bring_up_to_date(fresh, workspace)[0].close()
    assert rows(file, workspace.root) == rows(fresh, workspace.root)


def change(rng: random.Random, root: Path, step: int) -> None:
    """Write, rename or delete some file."""
    files = sorted(p for p in (root / "src").rglob("*.py"))
    kind = rng.choice(("write", "write", "rename", "delete"))
    if kind == "write" or not files:
        names = "".join(f"def shared_{n}(): return {step}\n" for n in range(rng.randrange(9)))
        (root / "src" / f"f{rng.randrange(30)}.py").write_text(names)
    elif kind == "rename":
        rng.choice(files).rename(root / "src" / f"f{rng.randrange(30)}.py")
    else:
        rng.choice(files).unlink()


BUILD = """
import sys
from pathlib import Path
from localagent.index.build import bring_up_to_date
from localagent.workspace import Workspace
if __name__ == "__main__":
    while True:
        store, _ = bring_up_to_date(Path(sys.argv[1]), Workspace.open(sys.argv[2]))
        store.close()
        print("done", flush=True)
        for path in Path(sys.argv[2]).rglob("g*.py"):
            path.write_text(path.read_text() + "def shared_more(): pass\\n")
"""


def test_killed_and_with_two_writers_it_stays_whole(root: Path, file: Path, tmp_path: Path) -> None:
    for n in range(60):
        (root / "src" / f"g{n}.py").write_text(f"def shared_{n}(): pass\n")
    script = tmp_path / "build.py"
    script.write_text(BUILD)
    command = [sys.executable, str(script), str(file), str(root)]
    rng = random.Random(3)
    for _ in range(4):
        both = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
        assert both[0].stdout is not None and both[0].stdout.readline() == b"done\n"
        time.sleep(rng.random() / 5)
        for process in both:
            process.send_signal(signal.SIGKILL)
            process.communicate()
    workspace = Workspace.open(root)
    bring_up_to_date(file, workspace)[0].close()
    fresh = tmp_path / "fresh.sqlite"
    bring_up_to_date(fresh, workspace)[0].close()
    assert rows(file, workspace.root) == rows(fresh, workspace.root)
    assert sqlite3.connect(file).execute("PRAGMA integrity_check").fetchone() == ("ok",)


MADE_ANEW = """
import sys
from pathlib import Path
from localagent.index.build import bring_up_to_date
from localagent.index.store import Store, drop
from localagent.workspace import Workspace
Store.worn = lambda self: True
if __name__ == "__main__":
    file, root = map(Path, sys.argv[1:3])
    for n in range(25):
        if n % 5 == int(sys.argv[3]):
            drop(file)
        bring_up_to_date(file, Workspace.open(root))[0].close()
        path = root / "src" / f"g{n % 5}.py"
        path.write_text(path.read_text() + "def shared_more(): pass\\n")
"""


def test_made_anew_by_several_at_once_it_stays_whole(
    root: Path, file: Path, tmp_path: Path
) -> None:
    for n in range(5):
        (root / "src" / f"g{n}.py").write_text(f"def shared_{n}(): pass\n")
    script = tmp_path / "anew.py"
    script.write_text(MADE_ANEW)
    command = [sys.executable, str(script), str(file), str(root)]
    together = [
        subprocess.Popen([*command, str(n)], stderr=subprocess.PIPE, text=True) for n in range(3)
    ]
    assert [process.communicate()[1] for process in together] == ["", "", ""]
    bring_up_to_date(file, Workspace.open(root))[0].close()
    assert sqlite3.connect(file).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_several_processes_give_the_same(root: Path, file: Path, tmp_path: Path) -> None:
    for n in range(450):
        (root / "src" / f"m{n}.py").write_text(f"def shared_{n}(): return {n}\n")
    workspace = Workspace.open(root)
    seen: list[tuple[int, int]] = []
    bring_up_to_date(file, workspace, lambda *now: seen.append(now), processes=2)[0].close()
    assert seen[0] == (0, 455) and seen[-1] == (455, 455) and len(seen) > 3
    for name in ("src/m1.py", "src/m2.py"):
        (root / name).unlink()
    bring_up_to_date(file, workspace)[0].close()
    fresh = tmp_path / "fresh.sqlite"
    for n in range(3, 450):  # so that a fresh one reads them one by one
        os.utime(root / "src" / f"m{n}.py")
    bring_up_to_date(fresh, workspace, processes=1)[0].close()
    assert rows(file, workspace.root) == rows(fresh, workspace.root)


def test_an_index_worn_by_changes_is_made_anew(root: Path, file: Path) -> None:
    workspace = Workspace.open(root)
    many = "\n\n".join(
        f"def shared_{n}():\n    a = 1\n    b = 2\n    c = 3\n    return a" for n in range(600)
    )
    for step in range(6):
        (root / "src" / "many.py").write_text(f"# {step}\n{many}\n")
        store, _ = bring_up_to_date(file, workspace)
        counts = store.counts()
        store.close()
        assert counts.dead <= 1.1 * counts.chunks + 1000
    assert index_file(root).parent.name == "index"

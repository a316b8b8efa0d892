"""Choosing a sandbox, and the pieces that need no sandbox to be tested."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandbox_fixtures import NewSandbox

from localagent.core import paths
from localagent.core.changes import Change, file_change
from localagent.core.errors import SandboxError, UsageError
from localagent.sandbox import select
from localagent.sandbox.base import Command, Sandbox
from localagent.sandbox.environment import scrubbed
from localagent.sandbox.kinds.plain import PlainSandbox
from localagent.sandbox.kinds.unshare import UnshareSandbox
from localagent.sandbox.launcher.follow import OutputBuffer
from localagent.sandbox.select import probe
from localagent.sandbox.snapshots.overlay import is_cache
from localagent.sandbox.snapshots.scratch import Scratch, remove_tree

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")


def test_an_unknown_kind_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="auto, unshare, bubblewrap, landlock, seccomp, none"):
        try:
            select.choose("docker")
        except UsageError as error:
            raise UsageError(f"{error.message} {error.hint}") from None


def test_none_is_never_confined_and_says_why() -> None:
    choice = select.choose("none")
    assert (choice.sandbox.kind, choice.sandbox.confined, bool(choice.reason)) == (
        "none",
        False,
        True,
    )


def test_the_probe_sees_through_a_sandbox_that_does_not_confine(plain: PlainSandbox) -> None:
    assert probe(plain) != ""
    assert not list(paths.cache_dir().glob("probe/*"))


@linux
@pytest.mark.sandbox
def test_the_result_of_the_probe_is_kept(
    unshare: UnshareSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert probe(unshare) == ""
    assert select.choose().sandbox.kind == "unshare"

    def never(sandbox: object) -> str:
        raise AssertionError("probed again")

    with monkeypatch.context() as patch:
        patch.setattr(select, "probe", never)
        assert select.choose().sandbox.kind == "unshare"
        # Another version, or a file that cannot be read, is probed again.
        patch.setattr(select, "__version__", "other")
        with pytest.raises(AssertionError, match="probed again"):
            select.choose()
    (paths.state_dir() / "sandbox.json").write_text("{")
    assert select.choose().sandbox.kind == "unshare"
    kept = json.loads((paths.state_dir() / "sandbox.json").read_text())["kinds"]
    assert kept["unshare"][0] and "landlock" not in kept


@linux
def test_where_the_probe_fails_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "probe", lambda sandbox: "namespaces are switched off")
    choice = select.choose()
    assert choice.sandbox.kind == "none" and "unshare: namespaces are switched off" in choice.reason
    with pytest.raises(SandboxError, match=r"landlock does not work here: .*off"):
        try:
            select.choose("landlock")
        except SandboxError as error:
            assert "Linux 5.13" in error.hint
            raise


@linux
def test_a_failure_is_believed_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    probed = []
    monkeypatch.setattr(select, "probe", lambda sandbox: probed.append(sandbox.kind) or "broken")
    select.choose()
    first = len(probed)
    select.choose()
    assert first and len(probed) == first
    with pytest.raises(SandboxError):
        select.choose("landlock")
    assert probed[first:] == ["landlock"]  # who asks for it has it tried
    now = select.time.time()
    monkeypatch.setattr(select.time, "time", lambda: now + 1000)
    select.choose()
    assert len(probed) > first + 1


@linux
def test_bubblewrap_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SandboxError, match="the program bwrap was not found") as caught:
        select.choose("bubblewrap")
    assert "install" in caught.value.hint


@linux
@pytest.mark.sandbox
@pytest.mark.parametrize("kind", ["unshare", "bubblewrap", "landlock"])
def test_a_policy_names_the_kinds(kind: str) -> None:
    try:
        asked = select.choose(kind).sandbox
    except SandboxError as error:
        pytest.skip(error.message)
    assert asked.kind == kind
    assert select.choose(None, (kind,)).sandbox.kind == kind


@linux
@pytest.mark.sandbox
def test_where_there_are_no_namespaces_the_next_kind_is_taken(
    unshare: UnshareSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that forbids namespaces: the real launcher, with a call that fails."""
    code = (
        "import sys; sys.path.append({root!r})\n"
        "from localagent.linux import syscalls\n"
        "from localagent.sandbox.launcher import main as launcher\n"
        "def fails(flags): raise PermissionError(1, 'unshare: Operation not permitted')\n"
        "syscalls.unshare = fails\n"
        "launcher.main()"
    )
    monkeypatch.setattr("localagent.sandbox.launcher.client._CODE", code)
    choice = select.choose()
    assert choice.sandbox.kind != "unshare" and "Operation not permitted" in choice.reason


@linux
@pytest.mark.sandbox
def test_root_can_do_without_user_namespaces(
    new_sandbox: NewSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.getuid() != 0:
        pytest.skip("needs root")
    code = (
        "import sys; sys.path.append({root!r})\n"
        "from localagent.linux import syscalls\n"
        "from localagent.sandbox.launcher import main as launcher\n"
        "real = syscalls.unshare\n"
        "def without(flags):\n"
        "    if flags & syscalls.CLONE_NEWUSER: raise OSError(28, 'no user namespaces')\n"
        "    real(flags)\n"
        "syscalls.unshare = without\n"
        "launcher.main()"
    )
    before = Path("/proc/sys/user/max_user_namespaces").read_text()
    monkeypatch.setattr("localagent.sandbox.launcher.client._CODE", code)
    unshare = new_sandbox("unshare")
    assert probe(unshare) == ""
    with unshare.open(paths.private(paths.data_dir() / "w")) as snapshot:
        line = "readlink /proc/self/ns/user; grep CapEff /proc/self/status; touch x"
        done = snapshot.run(Command(line))
        assert [change.path for change in snapshot.changes()] == ["x"]
    same = os.readlink("/proc/self/ns/user")
    assert done.output.split() == [same, "CapEff:", f"{0b11011:016x}"]
    assert Path("/proc/sys/user/max_user_namespaces").read_text() == before


# The plain sandbox


def test_ignored_folders_are_linked_and_the_rest_is_copied(
    plain: PlainSandbox, tmp_path: Path
) -> None:
    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text("node_modules/\n*.log\n")
    (tmp_path / "node_modules/x").mkdir(parents=True)
    (tmp_path / "node_modules/x/y.js").write_text("y")
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.log").write_text("log")
    (tmp_path / ".env").write_text("A=1")
    line = "cat node_modules/x/y.js a.log .env; echo z > empty/z; echo > a.log; git status -s"
    with plain.open(tmp_path) as snapshot:
        done = snapshot.run(Command(line))
        assert done.output == "ylogA=1?? .env\n?? .gitignore\n?? empty/\n"
        assert [change.path for change in snapshot.changes()] == ["a.log", "empty/z"]
        assert (tmp_path / "a.log").read_text() == "log"


@linux
@pytest.mark.sandbox
def test_large_ignored_folders_can_be_read(confining: Sandbox, tmp_path: Path) -> None:
    """In a copy they are the real ones, and read-only; git does not take them for new files."""
    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text("node_modules/\nbuild/\n")
    (tmp_path / "node_modules/x").mkdir(parents=True)
    for number in range(600):
        (tmp_path / f"node_modules/x/{number}.js").write_text("y")
    (tmp_path / "build").mkdir()
    (tmp_path / "build/small").write_text("old")
    with confining.open(tmp_path) as snapshot:
        done = snapshot.run(Command("cat node_modules/x/599.js build/small; git status -s; pwd"))
        assert done.output.startswith("yold?? .gitignore\n/")
        snapshot.run(Command("echo new > build/small; echo z > node_modules/x/7.js"))
        changed = [change.path for change in snapshot.changes()]
    assert changed in (["build/small"], ["build/small", "node_modules/x/7.js"])
    assert (tmp_path / "node_modules/x/7.js").read_text() == "y"
    assert (confining.kind == "unshare") == (len(changed) == 2)


def test_a_workspace_that_is_too_large_is_not_copied(
    plain: PlainSandbox, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("localagent.sandbox.snapshots.copy.MAX_BYTES", 200)
    with pytest.raises(SandboxError, match="too large to be copied"), plain.open(project):
        pass


@linux
@pytest.mark.sandbox
@pytest.mark.parametrize("kind", ["bubblewrap", "landlock"])
def test_cargo_builds_elsewhere_where_its_folder_is_linked(
    kind: str, tmp_path: Path, shared_sandboxes: Callable[[str], Sandbox]
) -> None:
    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text("target/\n")
    (tmp_path / "Cargo.toml").write_text("[package]\n")
    (tmp_path / "target").mkdir()
    sandbox = shared_sandboxes(kind)
    line = "mkdir -p ${CARGO_TARGET_DIR:-target}/x && echo ${CARGO_TARGET_DIR:-none}"
    with sandbox.open(tmp_path) as snapshot:
        assert snapshot.run(Command(line)).output == "none\n"
    (tmp_path / "target/big").write_bytes(bytes(9 << 20))
    with sandbox.open(tmp_path) as snapshot:
        assert snapshot.run(Command(line)).output.endswith("/target\n")
        assert snapshot.changes() == ()


def test_a_deleted_link_deletes_what_it_stood_for(plain: PlainSandbox, tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text("build/\n")
    (tmp_path / "build").mkdir()
    (tmp_path / "build/out").write_text("o")
    with plain.open(tmp_path) as snapshot:
        snapshot.run(Command("rm -r build"))
        assert snapshot.changes() == (Change("build", "absent"), Change("build/out", "absent"))


def test_plain_puts_outside_are_not_made(plain: PlainSandbox, project: Path) -> None:
    (project / "out").symlink_to(project.parent)
    with pytest.raises(SandboxError), plain.open(project, [file_change("out/evil", b"x")]):
        pass
    assert not (project.parent / "evil").exists()


# Output


@given(
    st.lists(st.binary(max_size=40) | st.text(max_size=12).map(str.encode), max_size=12),
    st.integers(1, 64),
)
def test_output_is_kept_at_both_ends(chunks: list[bytes], limit: int) -> None:
    seen: list[str] = []
    captured = OutputBuffer(limit, seen.append)
    for chunk in chunks:
        captured.feed(chunk)
    whole = b"".join(chunks)
    half = max(limit // 2, 1)
    if len(whole) <= 2 * half:
        assert captured.dropped == 0 and captured.text() == whole.decode("utf-8", "replace")
        return
    assert captured.dropped == len(whole) - 2 * half
    head, note, tail = captured.text().partition(
        f"\n[... {captured.dropped:,} bytes left out ...]\n"
    )
    assert note
    assert whole.decode("utf-8", "replace").startswith(head) or "\ufffd" in head
    assert whole.decode("utf-8", "replace").endswith(tail) or "\ufffd" in tail
    assert "".join(seen) == whole[:limit].decode("utf-8", "replace").removesuffix("\ufffd") or (
        "\ufffd" in "".join(seen)
    )


def test_characters_are_not_cut_in_two() -> None:
    captured = OutputBuffer(9)
    captured.feed("ääääääää".encode())
    assert captured.text() == "ää\n[... 8 bytes left out ...]\nää"


# Pieces


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/__pycache__/b.txt", True),
        ("x.pyc", True),
        ("node_modules/.cache/a", True),
        (".mypy_cache", True),
        ("node_modules/a.js", False),
        ("cache/a.py", False),
    ],
)
def test_caches(path: str, expected: bool) -> None:
    assert is_cache(path) is expected


def test_relative_folders_leave_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.pathsep.join(["", ".", "bin", "/usr/bin"]))
    assert scrubbed("/h", "/t", {})["PATH"] == "/usr/bin"


def test_a_scratch_base_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "base").symlink_to(tmp_path / "real")
    with pytest.raises(SandboxError, match="not a folder"):
        Scratch(tmp_path / "base")


def test_very_deep_folders_are_removed(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    code = "import os\nfor _ in range(1100):\n    os.mkdir('d' * 4); os.chdir('d' * 4)"
    subprocess.run([sys.executable, "-c", code], cwd=top, check=True)
    remove_tree(top)
    assert not top.exists()


def test_nothing_heavy_is_imported_by_the_launcher() -> None:
    code = (
        "import sys; from localagent.sandbox.launcher import main; "
        "print([name for name in ('json', 're', 'typing', 'subprocess', 'pathlib', 'socket') "
        "if name in sys.modules])"
    )
    root = str(Path(select.__file__).parents[2])
    arguments = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.append({root!r}); {code}"]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_choosing_imports_nothing_that_only_linux_has() -> None:
    """On other systems these modules do not exist, or fail while they are imported."""
    code = (
        "import sys\n"
        "for name in ('fcntl', 'resource', 'ctypes'): sys.modules[name] = None\n"
        "import os; del os.fork, os.geteuid, os.getxattr\n"
        "from localagent.permissions import rules\n"
        "from localagent.sandbox import select\nfrom localagent.sandbox.kinds import plain\n"
        "print(select.KINDS)"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(select.__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.stdout == "('unshare', 'bubblewrap', 'landlock', 'seccomp', 'none')\n", done.stderr

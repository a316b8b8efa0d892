"""git in a sandbox: what becomes real, and what never does."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from localagent.core.changes import Change, file_change
from localagent.core.errors import SandboxError
from localagent.core.messages import ToolResult
from localagent.history.checkpoints.checkpoint import Checkpoints
from localagent.sandbox.base import Command, Sandbox
from localagent.sandbox.select import CONFINING, make
from localagent.tools.base import ToolContext
from localagent.tools.registry import standard_tools
from localagent.workspace.git import adopt, run
from localagent.workspace.workspace import Workspace

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the commands are those of a shell")


def git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, home: Path) -> Path:
    (home / ".gitconfig").write_text("[user]\nname = Ada\nemail = ada@example.org\n")
    root = tmp_path / "shop"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    (root / "a.py").write_text("a = 1\n")
    (root / "other.py").write_text("o = 1\n")
    git(root, "add", ".")
    git(root, "commit", "-qm", "first")
    return root


@pytest.fixture(params=(*CONFINING, "none"))
def use(
    request: pytest.FixtureRequest, repository: Path, tmp_path: Path
) -> Iterator[Callable[[str], ToolResult]]:
    """The shell tool in every kind of sandbox, with a real journal."""
    try:
        sandbox: Sandbox = make(request.param)
        with sandbox.open(repository) as snapshot:
            snapshot.run(Command("true"))
    except SandboxError as error:
        pytest.skip(error.message)
    journal = Checkpoints(repository, tmp_path / "session", 1)

    def apply(changes: Sequence[Change]) -> None:
        journal.apply(changes)

    context = ToolContext(
        Workspace.open(repository),
        sandbox,
        apply,
        denies=(".env", "protected/x").__contains__,
        shell_seconds=60.0,
    )
    shell = standard_tools()["shell"]
    yield lambda line: shell.prepare({"body": line}, context).perform()
    sandbox.close()


def test_status_and_diff_and_commit(use: Callable[[str], ToolResult], repository: Path) -> None:
    (repository / "a.py").write_text("a = 2\n")
    (repository / "new.py").write_text("n = 1\n")
    assert "M a.py\n?? new.py" in use("git status --short").for_model
    assert "+a = 2" in use("git diff").for_model
    done = use("git add -A && git commit -q -m 'second one'")
    assert done.ok and "git: refs/heads/main is " in done.for_model
    assert git(repository, "log", "--format=%an %s") == "Ada second one\nAda first"
    assert git(repository, "status", "--short") == ""
    assert "localagent: git add -A" in git(repository, "reflog", "-1")
    git(repository, "fsck", "--strict")


def test_staging_branches_and_tags(use: Callable[[str], ToolResult], repository: Path) -> None:
    (repository / "a.py").write_text("a = 2\n")
    use("git add a.py")
    assert git(repository, "status", "--short") == "M  a.py"
    done = use("git switch -q -c topic && git commit -qm topic && git tag v1")
    assert "HEAD is refs/heads/topic" in done.for_model
    assert git(repository, "branch", "--show-current") == "topic"
    assert git(repository, "log", "--format=%s", "v1") == "topic\nfirst"
    assert git(repository, "log", "--format=%s", "main") == "first"
    use("git rm -q other.py; git commit -qm gone; git switch -q main")
    assert (repository / "other.py").exists() and git(repository, "status", "--short") == ""


def test_what_is_staged_stays_so(use: Callable[[str], ToolResult], repository: Path) -> None:
    (repository / "other.py").write_text("o = 2\n")
    git(repository, "add", "other.py")
    (repository / "a.py").write_text("a = 2\n")
    use("git commit -qm only a.py")
    assert git(repository, "status", "--short") == "M  other.py"
    assert git(repository, "show", "--format=", "--name-only") == "a.py"


def test_hooks_and_settings_stay_the_users(
    use: Callable[[str], ToolResult], repository: Path
) -> None:
    settings = (repository / ".git/config").read_text()
    done = use(
        "echo evil > .git/hooks/pre-commit; git config core.pager evil; git branch also; "
        "mkdir -p .git/refs/heads/x; echo 'ref: ../../config' > .git/refs/heads/x/y"
    )
    assert "not kept: .git/config, .git/hooks/pre-commit, .git/refs/heads/x/y" in done.for_model
    assert (repository / ".git/config").read_text() == settings
    assert not (repository / ".git/hooks/pre-commit").exists()
    assert not (repository / ".git/refs/heads/x").exists()
    assert git(repository, "branch", "--format=%(refname:short)") == "also\nmain"


def test_programs_that_call_git_move_nothing(
    use: Callable[[str], ToolResult], repository: Path
) -> None:
    (repository / "tool.py").write_text(
        "import os\nos.system('git -c user.name=x -c user.email=x commit -qm x --allow-empty')\n"
    )
    done = use("python3 tool.py")
    assert "were not kept" in done.for_model
    assert git(repository, "log", "--format=%s") == "first"


def test_the_users_hooks_run_in_the_sandbox_alone(
    use: Callable[[str], ToolResult], repository: Path
) -> None:
    for name in ("pre-commit", "reference-transaction", "post-index-change", "post-commit"):
        hook = repository / ".git/hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\necho ran >> {repository.parent}/ran-{name}\necho {name} >&2\n")
        hook.chmod(0o755)
    done = use("git commit -q --allow-empty -m hooked")
    assert "pre-commit" in done.for_model
    assert git(repository, "log", "--format=%s").startswith("hooked")
    # The sandbox "none" lets them write outside, once each; outside of it they do not run.
    ran = {p.name: p.read_text().count("ran") for p in repository.parent.glob("ran-*")}
    assert ran.get("ran-pre-commit", 0) <= 1 and ran.get("ran-post-commit", 0) <= 1


def test_an_embedded_repository_keeps_its_commits(
    use: Callable[[str], ToolResult], repository: Path
) -> None:
    (inner := repository / "vendor/inner").mkdir(parents=True)
    git(inner, "init", "-q")
    git(inner, "commit", "-qm", "theirs", "--allow-empty")
    done = use(
        "cd vendor/inner && echo z > z.py && git add z.py && git commit -qm more; git log --oneline"
    )
    assert "theirs" in done.for_model and "first" not in done.for_model
    assert "changes to git's own files were not kept: vendor/inner/.git/" in done.for_model
    assert git(repository, "log", "--format=%s") == "first"
    assert git(repository, "diff", "--cached", "--name-only") == ""
    assert git(inner, "log", "--format=%s") == "theirs"
    assert "?? z.py" in git(inner, "status", "--short")
    use("git add -A 2>/dev/null && git commit -qm outer")
    assert "160000 commit" in git(repository, "ls-tree", "HEAD", "vendor/")


def test_a_worktree_in_the_workspace_keeps_its_commits(
    use: Callable[[str], ToolResult], repository: Path
) -> None:
    git(repository, "worktree", "add", "-q", "trees/topic")
    use("cd trees/topic && echo z > z.py && git add z.py && git commit -qm more")
    assert git(repository, "log", "--format=%s", "--all") == "first"
    assert git(repository, "diff", "--cached", "--name-only") == ""


@pytest.mark.sandbox
@pytest.mark.parametrize("kind", CONFINING)
def test_a_worktree_is_not_taken_for_the_repository_around_it(
    kind: str, repository: Path, shared_sandboxes: Callable[[str], Sandbox]
) -> None:
    git(repository, "worktree", "add", "-q", "trees/topic")
    git(repository, "commit", "-qm", "of main", "--allow-empty")
    with shared_sandboxes(kind).open(repository / "trees/topic") as snapshot:
        done = snapshot.run(Command("git log --oneline"))
    assert "of main" not in done.output


# What a hostile snapshot may hold


def _ready(root: Path) -> adopt.GitSnapshot:
    before = adopt.snapshot(root)
    assert before is not None
    return before


def _loose(root: Path, kind: str, data: bytes) -> tuple[str, Change]:
    """An object, made with no checks in a repository of its own."""
    done = subprocess.run(
        ["git", "hash-object", "-t", kind, "--stdin", "--literally", "-w"],
        cwd=root,
        input=data,
        capture_output=True,
        check=True,
    )
    name = done.stdout.decode().strip()
    path = f".git/objects/{name[:2]}/{name[2:]}"
    return name, file_change(path, (root / path).read_bytes())


def test_trees_that_would_write_into_git_are_refused(repository: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    git(scratch, "init", "-q")
    blob, one = _loose(scratch, "blob", b"evil")
    entry = b"40000 .git\0" + bytes.fromhex("4b825dc642cb6eb9a060e54bf8d69288fbee4904")
    tree, two = _loose(scratch, "tree", entry + b"100644 x\0" + bytes.fromhex(blob))
    text = f"tree {tree}\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nx\n"
    commit, three = _loose(scratch, "commit", text.encode())
    before = _ready(repository)
    moved = file_change(".git/refs/heads/main", f"{commit}\n".encode())
    found = adopt.adopt(repository, before, [one, two, three, moved], "test")
    assert not found.kept and "git refused" in found.left[0]
    assert _ready(repository) == before


@pytest.mark.parametrize("data", [b"", b"not an object", b"x" * 1000])
def test_objects_that_are_none(repository: Path, data: bytes) -> None:
    before = _ready(repository)
    name = "ab" * 20
    changes = [
        file_change(f".git/objects/{name[:2]}/{name[2:]}", data),
        file_change(".git/refs/heads/main", name.encode()),
    ]
    found = adopt.adopt(repository, before, changes, "test")
    assert not found.kept and found.left and _ready(repository) == before


def test_index_entries_that_would_write_into_git_are_refused(repository: Path) -> None:
    before = _ready(repository)
    blob = git(repository, "rev-parse", "HEAD:a.py")
    entry = f"100644 {blob} 0\t.git/hooks/pre-commit\0".encode()
    listing = subprocess.run(
        ["git", "ls-files", "-sz"], cwd=repository, capture_output=True, check=True
    ).stdout
    changes = [file_change(".git/index", b"x"), file_change(adopt.LISTING, listing + entry)]
    found = adopt.adopt(repository, before, changes, "test")
    assert not found.kept and "git refused" in found.left[0] and _ready(repository) == before


def test_entries_of_a_repository_with_sha256(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--object-format=sha256")
    (tmp_path / "gone.py").write_text("g = 1\n")
    git(tmp_path, "add", ".")
    blob, made = _loose(tmp_path, "blob", b"a = 1\n")
    changes = [
        *(made, file_change(".git/index", b"x")),
        file_change(adopt.LISTING, f"100644 {blob} 0\ta.py\0".encode()),
    ]
    found = adopt.adopt(tmp_path, _ready(tmp_path), changes, "test")
    assert found == adopt.Adoption(("staged: 2 files",))
    assert git(tmp_path, "ls-files", "--stage") == f"100644 {blob} 0\ta.py"


def test_a_branch_that_somebody_moved_meanwhile(repository: Path) -> None:
    before = _ready(repository)
    git(repository, "commit", "-qm", "mine", "--allow-empty")
    mine = _ready(repository)
    old = git(repository, "rev-parse", "main~1")
    new = git(repository, "commit-tree", "-m", "theirs", "-p", old, "main^{tree}")
    change = file_change(".git/refs/heads/main", new.encode())
    found = adopt.adopt(repository, before, [change], "test")
    assert not found.kept and "git refused" in found.left[0] and _ready(repository) == mine


@pytest.mark.parametrize(
    "path",
    ["refs/heads/../../config", "refs/heads/a..b", "refs/heads/-x/.lock", "refs/remotes/o/m"],
)
def test_names_that_are_no_branches(repository: Path, path: str) -> None:
    before = _ready(repository)
    change = file_change(f".git/{path}", git(repository, "rev-parse", "main").encode())
    found = adopt.adopt(repository, before, [change], "test")
    assert found.kept == () and _ready(repository) == before


@pytest.mark.parametrize("link", ["logs/HEAD", "logs", "refs/heads", "index", "objects"])
def test_links_among_gits_own_files_lead_nowhere(
    repository: Path, tmp_path: Path, link: str
) -> None:
    outside = tmp_path / "outside"
    if link == "logs/HEAD":
        outside.write_text("")
    else:
        (repository / ".git" / link).rename(outside)
    place = repository / ".git" / link
    if place.exists():
        place.unlink()
    place.symlink_to(outside)

    def state() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in (outside, *outside.rglob("*")) if p.is_file()}

    before, content = _ready(repository), state()
    blob, one = _loose(repository, "blob", b"planted")
    commit = git(repository, "commit-tree", "-m", "x", "main^{tree}")
    content = state()
    moved = file_change(".git/refs/heads/main", commit.encode())
    entry = f"100644 {blob} 0\tplanted\0".encode()
    index = [file_change(".git/index", b"x"), file_change(adopt.LISTING, entry)]
    found = adopt.adopt(repository, before, [one, moved, *index], "test")
    assert not found.kept and f".git/{link} leads git" in found.left[0]
    assert state() == content


def test_a_repository_elsewhere_is_not_written(repository: Path, tmp_path: Path) -> None:
    (repository / ".git/commondir").write_text(f"{tmp_path}/other")
    before = adopt.GitSnapshot("ref: refs/heads/main", {}, {})
    assert ".git/commondir leads git" in adopt.adopt(repository, before, [], "test").left[0]


def test_hooks_of_the_settings_are_switched_off(repository: Path) -> None:
    git(repository, "config", "hook.a.b.command", "touch evil")
    git(repository, "config", "hook.a.b.event", "reference-transaction")
    variables = run._without_programs(repository)
    keys = [variables[f"GIT_CONFIG_KEY_{n}"] for n in range(int(variables["GIT_CONFIG_COUNT"]))]
    assert keys == ["hook.a.b.enabled", "hook.a.b.event", "hook.a.b.command"]


def test_a_commit_takes_over_no_more_than_the_line_and_the_rules_allow(
    use: Callable[[str], ToolResult], repository: Path
) -> None:
    git(repository, "branch", "release")
    hook = repository / ".git/hooks/pre-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        "#!/bin/sh\ngit update-ref refs/heads/release $(git commit-tree -m x HEAD^{tree})"
    )
    hook.chmod(0o755)
    (repository / ".env").write_text("TOKEN=mine\n")
    done = use(
        "mkdir -p protected; echo planted > protected/x; echo TOKEN=planted > .env; echo b > b.py;"
        "git add -A && git commit -qm sly"
    )
    assert "git refused: no tool may change .env" in done.for_model
    assert git(repository, "log", "--format=%s", "main") == "first"
    assert git(repository, "diff", "--cached", "--name-only") == ""
    done = use("git add -A && git commit -qm mine")  # the user's own version
    assert git(repository, "show", "HEAD:.env") == "TOKEN=mine"
    assert "not kept: .git/refs/heads/release" in done.for_model
    assert git(repository, "log", "--format=%s", "release") == "first"


def test_a_commit_holds_no_repository_by_another_name(
    use: Callable[[str], ToolResult], repository: Path
) -> None:
    """Otherwise git would write the repository when the user restores the files."""
    done = use(
        "mkdir -p a/objects a/refs; touch a/HEAD a/objects/x a/refs/x a/config; git add -A;"
        "git commit -qm second"
    )
    assert "no tool may change a/HEAD" in done.for_model
    assert git(repository, "log", "--format=%s") == "first"


def test_folders_without_a_repository_of_their_own(tmp_path: Path, repository: Path) -> None:
    assert adopt.snapshot(tmp_path) is None
    git(repository, "worktree", "add", "-q", str(tmp_path / "tree"))
    assert adopt.snapshot(tmp_path / "tree") is None


@pytest.mark.parametrize(
    "line",
    [
        "git commit -q --allow-empty -m 'merge release'",
        "git commit -q --allow-empty -m release; git log --format=%s release",
        "git -c core.pager=cat commit -q --allow-empty -m 'git branch release'",
    ],
)
def test_a_word_of_a_message_names_no_branch(
    line: str, use: Callable[[str], ToolResult], repository: Path
) -> None:
    """A hook moves the branch that the message of the commit mentions."""
    git(repository, "branch", "release")
    hook = repository / ".git/hooks/post-commit"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ngit update-ref refs/heads/release HEAD\n")
    hook.chmod(0o755)
    done = use(line)
    assert "not kept: .git/refs/heads/release" in done.for_model
    assert git(repository, "log", "--format=%s", "release") == "first"
    assert "git: refs/heads/main is " in done.for_model
    use("git -C . branch -f release main 2>&1")
    assert git(repository, "log", "-1", "--format=%s", "release") != "first"

"""Commands in every sandbox kind: output, environment, limits, and how they end."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import shlex
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sandbox_fixtures import NewSandbox

from localagent.core.errors import SandboxError
from localagent.sandbox.base import Command, CommandInput, CommandResult, Sandbox
from localagent.sandbox.launcher.client import Launcher, base_job

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.skipif(os.name != "posix", reason="the commands are those of a POSIX shell"),
]
PYTHON = shlex.quote(sys.executable)
# Long enough that a slow machine is no failure, short enough that a hang is one.
SOON = 60.0
_SECONDS = itertools.count(10**7 + secrets.randbelow(10**8))


def sleep() -> str:
    """A command that waits for long, unlike any other process of the machine's."""
    return f"sleep {next(_SECONDS)}"


def run(sandbox: Sandbox, root: Path, line: str, **limits: object) -> CommandResult:
    with sandbox.open(root) as snapshot:
        return snapshot.run(Command(line, **{"seconds": SOON, **limits}))


def test_output_and_exit_code(sandbox: Sandbox, project: Path, untouched: None) -> None:
    done = run(sandbox, project, "echo out; echo err >&2; exit 3")
    assert (done.exit_code, done.output) == (3, "out\nerr\n")
    assert not (done.timed_out or done.cancelled or done.dropped_bytes)


def test_signals_and_missing_commands(sandbox: Sandbox, project: Path) -> None:
    assert run(sandbox, project, "kill -TERM $$").exit_code == -15
    assert run(sandbox, project, "no-such-command-here").is_missing


def test_folders_to_run_in(sandbox: Sandbox, project: Path) -> None:
    with sandbox.open(project) as snapshot:
        assert snapshot.run(Command("cat b.py", cwd="src")).output == "b = 1\n"
        with pytest.raises(SandboxError):
            snapshot.run(Command("true", cwd="nowhere"))


def test_the_environment_is_scrubbed(
    sandbox: Sandbox, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "tell-nobody")
    monkeypatch.setenv("PYTHONSTARTUP", "/x")
    monkeypatch.setenv("LC_TIME", "C")
    with sandbox.open(project) as snapshot:
        output = snapshot.run(
            Command("env; cat /proc/$PPID/environ; echo H > ~/h", env={"MINE": "1"})
        )
    assert output.exit_code == 0 or "environ" in output.output
    names = {line.partition("=")[0] for line in output.output.splitlines()}
    assert {"PATH", "HOME", "TMPDIR", "MINE", "LC_TIME", "NO_COLOR"} <= names
    assert "tell-nobody" not in output.output and "PYTHONSTARTUP" not in names
    assert not Path.home().joinpath("h").exists()


def test_no_descriptors_and_no_input_are_inherited(sandbox: Sandbox, project: Path) -> None:
    kept = os.open(project / "a.txt", os.O_RDONLY)
    os.set_inheritable(kept, True)
    try:
        line = f"{PYTHON} -c 'import os; print(sorted(os.listdir(\"/proc/self/fd\")))'; cat"
        with sandbox.open(project) as snapshot:
            snapshot.run(Command("true"))  # so that the next launcher starts with the descriptor
            # The fourth is the listing itself.
            assert snapshot.run(Command(line)).output == "['0', '1', '2', '3']\n"
    finally:
        os.close(kept)


# How commands end


def test_time_out_ends_everything(sandbox: Sandbox, project: Path) -> None:
    wait = sleep()
    stubborn = f"trap '' TERM INT HUP; (setsid {wait} &) ; while :; do {wait}; done"
    done = run(sandbox, project, stubborn, seconds=0.5)
    assert done.timed_out and done.exit_code == -9 and done.seconds < SOON
    assert not alive(wait)


def test_what_is_left_in_the_background_ends(sandbox: Sandbox, project: Path) -> None:
    begun = time.monotonic()
    wait = sleep()
    line = f"{wait} & nohup setsid {wait} >/dev/null 2>&1 & echo done"
    done = run(sandbox, project, line)
    assert done.exit_code == 0 and done.output == "done\n"
    assert time.monotonic() - begun < SOON
    assert not alive(wait)


def test_programs_in_the_background_can_all_start(sandbox: Sandbox, project: Path) -> None:
    """The end of one sends a signal, which may interrupt the start of the next."""
    if sandbox.kind == "landlock" and os.getuid() == 0:
        pytest.skip("for root the broker counts processes, and a signal interrupts its answer")
    line = "i=0; while [ $i -lt 300 ]; do true & i=$((i+1)); done; wait; echo all"
    done = run(sandbox, project, line)
    assert (done.exit_code, done.output) == (0, "all\n")


def test_processes_are_bounded_and_all_of_them_end(sandbox: Sandbox, project: Path) -> None:
    if sandbox.kind != "landlock":
        pytest.skip("the kernel's namespaces count, or nothing does")
    waiting = sleep()
    done = run(sandbox, project, f"for i in $(seq 60); do {waiting} & done; echo all", processes=20)
    assert "all" not in done.output
    assert not subprocess.run(["pgrep", "-f", waiting], capture_output=True).stdout
    bomb = f"f() {{ {waiting} & f & f & }}; f; {waiting}"
    done = run(sandbox, project, bomb, processes=50, seconds=2.0)
    assert done.timed_out or done.exit_code
    assert not subprocess.run(["pgrep", "-f", waiting], capture_output=True).stdout


# A storm that ends by itself: each process adds a byte to a file, and forks until it has 600 bytes.
STORM = """
import os, time
made = os.open("made", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
first, end = os.getpid(), time.monotonic() + 2
while os.fstat(made).st_size < 600 and time.monotonic() < end:
    try:
        if os.fork() == 0:
            os.write(made, b".")
    except OSError:
        time.sleep(0.05)
time.sleep(0 if os.getpid() == first else 60)
"""


@pytest.mark.parametrize("kind", ["unshare", "landlock", "seccomp"])
def test_a_fork_storm_is_bounded(new_sandbox: NewSandbox, project: Path, kind: str) -> None:
    """RLIMIT_NPROC does not bind root, and a poll comes too late for a storm."""
    name = f"storm{secrets.token_hex(3)}.py"
    (project / name).write_text(STORM)
    with new_sandbox(kind).open(project) as snapshot:
        snapshot.run(Command(f"{PYTHON} {name}", seconds=SOON, processes=50))
        (made,) = (len(change.data) for change in snapshot.changes() if change.path == "made")
    # The kernel takes no pid_max below 301, and a broker counts no process that is being made.
    assert made < (330 if kind == "unshare" else 150)
    assert not subprocess.run(["pgrep", "-f", name], capture_output=True).stdout


# Chains of processes: each starts the next, continues all that were stopped, and ends.
CHAINS = """
#include <signal.h>
#include <time.h>
#include <unistd.h>
int main(void) {
    time_t begin = time(0);
    signal(SIGCHLD, SIG_IGN);
    for (int i = 0; i < 100; i++)
        if (fork() == 0)
            for (setsid(); time(0) - begin < 12; kill(-1, SIGCONT))
                if (fork() > 0) return 0;
    return 0;
}
"""


def test_chains_of_processes_end(sandbox: Sandbox, project: Path) -> None:
    """One that lives on could change the snapshot while localagent reads it."""
    compiler = shutil.which("cc")
    if sandbox.kind != "landlock" or compiler is None:
        pytest.skip("the kernel ends a namespace's processes; seccomp alone promises nothing")
    mark = f"chains{secrets.token_hex(3)}"  # 12 letters, since the kernel keeps 15 of a name
    (project / "chains.c").write_text(CHAINS)
    subprocess.run([compiler, "-O2", "-o", project / mark, project / "chains.c"], check=True)
    done = run(sandbox, project, f"./{mark}; echo done")
    left = subprocess.run(["pgrep", "-x", mark], capture_output=True, text=True).stdout
    assert (done.output, left) == ("done\n", "")


def test_closing_the_output_is_no_end(sandbox: Sandbox, project: Path) -> None:
    with sandbox.open(project) as snapshot:
        done = snapshot.run(Command("exec >&- 2>&-; sleep 0.3; touch late; exit 7"))
        assert done.exit_code == 7
        assert [change.path for change in snapshot.changes()] == ["late"]


def test_cancelling(sandbox: Sandbox, project: Path) -> None:
    started, wait = threading.Event(), sleep()
    with sandbox.open(project) as snapshot:
        done = snapshot.run(
            Command(f"echo go; {wait}", seconds=SOON),
            on_output=lambda text: started.set(),
            cancelled=started.is_set,
        )
    assert done.cancelled and not done.timed_out and done.output == "go\n"
    assert not alive(wait)


def test_output_of_30_megabytes(sandbox: Sandbox, project: Path) -> None:
    seen: list[str] = []
    with sandbox.open(project) as snapshot:
        done = snapshot.run(
            Command("echo first; head -c 30000000 /dev/zero | tr '\\0' x; echo; echo last"),
            on_output=seen.append,
        )
    assert done.exit_code == 0
    assert done.output.startswith("first\nxxx") and done.output.endswith("xxx\nlast\n")
    assert len(done.output) < (256 << 10) + 100
    assert done.dropped_bytes == 30_000_012 - (256 << 10)
    assert f"{done.dropped_bytes:,} bytes left out" in done.output
    assert sum(map(len, seen)) <= 256 << 10


def test_endless_output(sandbox: Sandbox, project: Path) -> None:
    done = run(sandbox, project, "yes", seconds=0.4)
    assert done.timed_out and len(done.output) < (256 << 10) + 100 and done.dropped_bytes


def test_output_comes_while_the_command_runs_and_never_in_half_characters(
    sandbox: Sandbox, project: Path
) -> None:
    seen: list[str] = []
    with sandbox.open(project) as snapshot:
        done = snapshot.run(
            Command("echo ready; sleep 0.2; printf 'gr\\303'; sleep 0.2; printf '\\274n\\377'"),
            seen.append,
        )
    assert done.output == "ready\ngrün\ufffd"
    assert seen[0] == "ready\n" and "".join(seen).startswith("ready\ngrün")
    assert len(seen) >= 3


def test_memory_is_bounded(sandbox: Sandbox, project: Path) -> None:
    line = f"{PYTHON} -I -S -c 'x = bytearray(300 << 20); print(len(x))'"
    hungry = run(sandbox, project, line, memory_bytes=128 << 20)
    assert hungry.exit_code != 0 and "MemoryError" in hungry.output
    assert run(sandbox, project, line, memory_bytes=1 << 30).exit_code == 0


def test_files_are_bounded(sandbox: Sandbox, project: Path) -> None:
    with sandbox.open(project) as snapshot:
        done = snapshot.run(Command("head -c 3000000 /dev/zero > big", file_bytes=1 << 20))
        assert done.exit_code != 0
        assert len(snapshot.changes()[0].data) == 1 << 20


def test_a_failing_front_end_leaves_nothing_behind(sandbox: Sandbox, project: Path) -> None:
    wait = sleep()

    def fails(text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), sandbox.open(project) as snapshot:
        snapshot.run(Command(f"echo x; {wait}"), on_output=fails)
    assert not alive(wait)


def children() -> set[str]:
    """This process's children that are there or not waited for, whoever made them.

    By each process's parent, as a task's own list of children is only right while nothing
    else runs (proc(5)): those of a thread that ends go to another, which may be read already.
    """
    found: set[str] = set()
    for process in Path("/proc").glob("[0-9]*"):
        # A process may end between the listing and the reading.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            _, _, after_name = (process / "stat").read_text().rpartition(")")
            if int(after_name.split()[1]) == os.getpid():
                found.add(process.name)
    return found


def test_no_zombies_and_no_scratch_are_left(
    sandbox: Sandbox, new_sandbox: NewSandbox, project: Path, home: Path
) -> None:
    sandbox = new_sandbox(sandbox.kind)
    before = children()
    for _ in range(3):
        with sandbox.open(project) as snapshot:
            snapshot.run(
                Command("mkdir -p d/e; touch d/e/f; chmod 0 d/e/f d/e; chmod 0 d; sleep 0 &")
            )
    sandbox.close()
    scratch = home / ".cache/localagent/scratch"
    assert [path.name for path in scratch.iterdir()] == ["lock"]
    soon = time.monotonic() + 5.0
    while (left := children() - before) and time.monotonic() < soon:
        time.sleep(0.1)
    assert not left, [told(pid) for pid in left]


def told(pid: str) -> str:
    """What process that is, for a failing test's message."""
    try:
        return "\n".join((Path("/proc") / pid / name).read_text() for name in ("cmdline", "status"))
    except OSError as error:
        return f"{pid}: {error}"


def test_scratch_of_a_dead_agent_is_removed(sandbox: Sandbox, project: Path, home: Path) -> None:
    kind = type(sandbox)
    code = (
        "import os, sys\n"
        f"from {kind.__module__} import {kind.__name__} as S\n"
        "from localagent.sandbox.base import Command\n"
        "from pathlib import Path\n"
        "with S().open(Path(sys.argv[1])) as snapshot:\n"
        "    snapshot.run(Command('mkdir d; touch d/f; chmod 0 d'))\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    scratch = home / ".cache/localagent/scratch"
    before = {path.name for path in scratch.iterdir()} if scratch.exists() else set()
    done = subprocess.run([sys.executable, "-c", code, str(project)], env=os.environ | package())
    assert done.returncode == -9
    dead = {path.name for path in scratch.iterdir()} - before - {"lock"}
    assert len(dead) == 1
    fresh = kind()
    with fresh.open(project):
        assert not dead & {path.name for path in scratch.iterdir()}
    fresh.close()


def test_the_death_of_the_agent_ends_its_commands(sandbox: Sandbox, project: Path) -> None:
    kind, wait = type(sandbox), sleep()
    code = (
        "import os, sys\n"
        f"from {kind.__module__} import {kind.__name__} as S\n"
        "from localagent.sandbox.base import Command\n"
        "from pathlib import Path\n"
        "die = lambda text: os.kill(os.getpid(), 9)\n"
        "with S().open(Path(sys.argv[1])) as snapshot:\n"
        f"    snapshot.run(Command('setsid {wait} & echo x; {wait}'), die)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(project)], env=os.environ | package())
    assert done.returncode == -9
    deadline = time.monotonic() + SOON
    while alive(wait) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(wait)


def test_bwrap_killed_before_its_report_leaves_no_process() -> None:
    wait = sleep()
    command = Command("true", seconds=SOON)
    job = base_job(command, {}, "/", [], count_processes=False) | {
        "kind": "bubblewrap",
        "private_mounts": [],
        # In place of bwrap, at the moment between its first fork and its report.
        "argv": ["/bin/sh", "-c", f"setsid {wait} & echo x; wait", "unused"],
    }
    seen: list[str] = []
    ended = Launcher().run(job, command, seen.append, lambda: bool(seen))
    assert ended.cancelled
    assert not alive(wait)


def package() -> dict[str, str]:
    return {"PYTHONPATH": str(Path(__file__).resolve().parents[3])}


def alive(arguments: str) -> list[str]:
    """Return the processes of the machine with this command line, each with its ancestors."""
    line = arguments.replace(" ", "\0").encode() + b"\0"
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes() == line:
                found.append(ancestry(path.parent))
        except OSError:
            continue
    return found


def ancestry(process: Path) -> str:
    """Describe a process and its ancestors: number, state, and the end of the command line."""
    described = []
    while process.name != "0":
        fields = Path(process, "stat").read_text().rpartition(") ")[2].split()
        words = Path(process, "cmdline").read_bytes().replace(b"\0", b" ")[-60:]
        described.append(f"{process.name} {fields[0]} {words.decode(errors='replace')}")
        process = Path("/proc", fields[1])
    return " < ".join(described)


def test_a_command_reads_what_is_written_while_it_runs(sandbox: Sandbox, project: Path) -> None:
    given = CommandInput()
    seen: list[str] = []

    def answer(text: str) -> None:
        seen.append(text)
        if "ready" in text:
            assert given.write(b"first\n", 5)
        elif "first" in text:
            given.close()

    with sandbox.open(project) as snapshot:
        line = "echo ready; cat; echo end"
        done = snapshot.run(Command(line, seconds=20.0, input=given), answer)
    assert done.output == "ready\nfirst\nend\n"
    assert not given.write(b"late\n", 0.1)


def test_a_command_without_input_reads_nothing(sandbox: Sandbox, project: Path) -> None:
    with sandbox.open(project) as snapshot:
        assert snapshot.run(Command("cat; echo end", seconds=20.0)).output == "end\n"

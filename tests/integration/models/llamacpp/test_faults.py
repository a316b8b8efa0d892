"""Every way in which the worker can fail ends in the right error, and the next request works.

The worker here is the real one around a toy model, with one fault (tests/doubles/faulty_worker.py).
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localagent.core.errors import (
    BackendError,
    ContextOverflow,
    Interrupted,
    ModelLoadError,
    WorkerDied,
    WorkerHung,
)
from localagent.core.messages import Message
from localagent.models.base import (
    Chunk,
    Finish,
    Infill,
    ModelInfo,
    ModelWarning,
    Profile,
    Reading,
    Request,
    Text,
)
from localagent.models.llamacpp.backend import LlamaCpp

DOUBLE = Path(__file__).parents[3] / "doubles" / "faulty_worker.py"
INFO = ModelInfo("toy", "llamacpp", "", Profile(window=4096))
HELLO = Request([Message("user", "Hi")])

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="faults are signals")

Make = Callable[..., LlamaCpp]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes a model whose worker has a fault, in its first `starts` starts."""
    made: list[LlamaCpp] = []
    (tmp_path / "model.gguf").write_bytes(b"GGUF")

    def build(fault: str, starts: int = 1, silence: float = 30.0) -> LlamaCpp:
        command = [sys.executable, str(DOUBLE), str(tmp_path), fault, str(starts)]
        made.append(LlamaCpp(tmp_path / "model.gguf", INFO, silence=silence, command=command))
        return made[-1]

    yield build
    for model in made:
        model.close()


def text(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, Text))


def notices(chunks: list[Chunk]) -> list[str]:
    return [chunk.text for chunk in chunks if isinstance(chunk, ModelWarning)]


def started(folder: Path) -> list[int]:
    """The process ids of all workers that were started."""
    return [int(line) for line in (folder / "starts").read_text().splitlines()]


def gone(pid: int) -> bool:
    """Whether a process has ended and was reaped."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def works(model: LlamaCpp) -> None:
    """The model answers."""
    chunks = list(model.generate(HELLO))
    assert text(chunks) == "hello world"
    assert isinstance(chunks[-1], Finish)
    assert chunks[-1].reason == "stop"


def test_a_sound_worker_answers_counts_and_renders(make: Make, tmp_path: Path) -> None:
    with make("none") as model:
        model.start()
        works(model)
        assert model.count("four") == 4
        prompt = model.tokenize(Request([Message("user", "Hi")], reply_start="So"))
        assert prompt.text.endswith("assistant\nSo")
        assert len(model.tokenize(Request([Message("user", "Hi")])).ends) == 21
        fill = list(model.generate(Request(Infill("a", "b"))))
        assert text(fill) == "hello world"
        assert started(tmp_path) == [model.pid]
    assert all(gone(pid) for pid in started(tmp_path))
    with pytest.raises(BackendError, match="closed"):
        list(model.generate(HELLO))


@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces")
def test_the_worker_says_what_network_it_has(make: Make) -> None:
    model = make("none")
    assert model.network == ""
    works(model)
    own = os.readlink("/proc/self/ns/net")
    try:
        other = os.readlink(f"/proc/{model.pid}/ns/net")
    except PermissionError:  # in a user namespace of its own
        assert model.network == "none"
    else:
        assert model.network == ("open" if other == own else "none")


@pytest.mark.parametrize("fault", ["SIGKILL@load", "SIGABRT@load", "SIGKILL@read", "SIGSEGV@read"])
def test_a_death_before_any_text_is_made_good_once(make: Make, tmp_path: Path, fault: str) -> None:
    model = make(fault)
    chunks = list(model.generate(HELLO))
    assert text(chunks) == "hello world"
    assert len(notices(chunks)) == 1
    assert "restarted" in notices(chunks)[0]
    works(model)
    assert len(started(tmp_path)) == 2


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("SIGKILL@load", "out of memory.*0.0 GB.*are free"),
        ("SIGSEGV@load", "crashed .SIGSEGV"),
        ("SIGILL@read", "instruction that this CPU does not have"),
        ("SIGBUS@read", "could no longer read model.gguf"),
    ],
)
def test_a_death_twice_is_an_error(make: Make, tmp_path: Path, fault: str, words: str) -> None:
    model = make(fault, starts=2)
    with pytest.raises(WorkerDied, match=words) as caught:
        list(model.generate(HELLO))
    assert caught.value.signal == getattr(signal, fault.partition("@")[0])
    assert caught.value.hint
    works(model)
    assert len(started(tmp_path)) == 3
    assert all(gone(pid) for pid in started(tmp_path)[:2])


@pytest.mark.parametrize("name", ["SIGSEGV"])
def test_a_death_after_some_text_is_an_error(make: Make, name: str) -> None:
    model = make(f"{name}@write")
    chunks: list[Chunk] = []
    with pytest.raises(WorkerDied) as caught:
        chunks.extend(model.generate(HELLO))
    assert caught.value.signal == getattr(signal, name)
    works(model)
    assert model.uses_extra_bufts  # it had finished a step


def test_an_exit_shows_the_last_words(make: Make) -> None:
    model = make("exit@read", starts=2)
    with pytest.raises(WorkerDied, match="status 3: the last words"):
        list(model.generate(HELLO))
    works(model)


def test_a_crash_at_the_first_step_restarts_with_safer_settings(make: Make, tmp_path: Path) -> None:
    model = make("needs-safe", starts=99)
    assert model.uses_extra_bufts
    chunks = list(model.generate(HELLO))
    assert text(chunks) == "hello world"
    assert ["safer settings" in notice for notice in notices(chunks)] == [True]
    assert not model.uses_extra_bufts
    assert (tmp_path / "extra_bufts").read_text() == "False"
    works(model)
    assert len(started(tmp_path)) == 2


def test_a_kill_does_not_change_the_settings(make: Make, tmp_path: Path) -> None:
    model = make("SIGKILL@read")
    list(model.generate(HELLO))
    assert model.uses_extra_bufts
    assert (tmp_path / "extra_bufts").read_text() == "True"


def test_a_death_while_counting_is_made_good_and_told_later(make: Make) -> None:
    model = make("SIGSEGV@load")
    assert model.count("four") == 4
    chunks = list(model.generate(HELLO))
    assert ["safer settings" in notice for notice in notices(chunks)] == [True]


@pytest.mark.parametrize("fault", ["hang@load", "stop@read", "hang@write"])
def test_silence_is_a_hang(make: Make, tmp_path: Path, fault: str) -> None:
    model = make(fault, silence=4.0)  # a busy machine may need seconds to start the worker
    with pytest.raises(WorkerHung, match="4 s"):
        list(model.generate(HELLO))
    works(model)
    assert gone(started(tmp_path)[0])


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("broken-frame", "not a message"),
        ("long-frame", "4294967295 bytes"),
        ("cut-frame", "before a frame did"),
        ("wrong-id", "not asked"),
        ("flood", "more than it was asked for"),
    ],
)
def test_a_worker_that_breaks_the_protocol_is_ended(
    make: Make, tmp_path: Path, fault: str, words: str
) -> None:
    model = make(fault, starts=2)
    with pytest.raises(WorkerDied, match=words):
        list(model.generate(HELLO))
    assert gone(started(tmp_path)[-1])
    if len(started(tmp_path)) == 1:  # some text came before the fault: it was not tried again
        with pytest.raises(WorkerDied, match=words):
            list(model.generate(HELLO))
    works(model)


def test_a_flood_of_noise_is_kept_within_bounds(make: Make, home: Path) -> None:
    model = make("noise@read", starts=2)
    with pytest.raises(WorkerDied, match="the last words"):
        list(model.generate(HELLO))
    logs = list((home / ".local/state/localagent/logs").iterdir())
    assert logs
    assert all(log.stat().st_size < 2 << 20 for log in logs)
    works(model)


def test_a_refusal_to_load_is_an_error_each_time(make: Make) -> None:
    model = make("refuse-load")
    with pytest.raises(ModelLoadError, match="the toy is broken") as caught:
        list(model.generate(HELLO))
    assert caught.value.hint == "mend it"
    works(model)


def test_a_library_that_is_missing_is_an_error(make: Make) -> None:
    model = make("no-library")
    with pytest.raises(ModelLoadError, match="no toy here"):
        list(model.generate(HELLO))
    works(model)


def test_a_worker_that_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    model = LlamaCpp(tmp_path / "m.gguf", INFO, command=[str(tmp_path / "nothing")])
    with pytest.raises(ModelLoadError, match="cannot be started"):
        list(model.generate(HELLO))


def test_a_prompt_that_does_not_fit_is_an_error_and_no_restart(make: Make, tmp_path: Path) -> None:
    model = make("none")
    with pytest.raises(ContextOverflow) as caught:
        list(model.generate(Request([Message("user", "x" * 5000)])))
    assert caught.value.window == 4096
    works(model)
    assert len(started(tmp_path)) == 1


def cancelled_soon(
    model: LlamaCpp, first: type, struck: Callable[[], bool] = lambda: True
) -> tuple[list[Chunk], float]:
    """Generate; at the first chunk of a kind, and once the fault has `struck`, cancel from another
    thread. The chunks, and the seconds from the cancellation to the end."""
    chunks: list[Chunk] = []
    at = 0.0
    for chunk in model.generate(Request([Message("user", "Hi")], max_tokens=10**6)):
        chunks.append(chunk)
        if not at and isinstance(chunk, first):
            deadline = time.monotonic() + 10
            while not struck() and time.monotonic() < deadline:
                time.sleep(0.01)
            at = time.monotonic()
            thread = threading.Thread(target=model.cancel)
            thread.start()
            thread.join()
    return chunks, time.monotonic() - at


@pytest.mark.parametrize(("fault", "first"), [("crawl", Reading), ("endless", Text)])
def test_a_cancellation_ends_a_generation_that_would_not_end(
    make: Make, tmp_path: Path, fault: str, first: type
) -> None:
    model = make(fault, starts=99)
    chunks, seconds = cancelled_soon(model, first)
    assert isinstance(chunks[-1], Finish)
    assert chunks[-1].reason == "cancelled"
    assert seconds < 5
    assert model.count("four") == 4
    assert len(started(tmp_path)) == 1  # the worker obeyed; it was not killed


@pytest.mark.parametrize(("fault", "first"), [("hang@read", Reading), ("stop@write", Text)])
def test_a_worker_that_does_not_answer_a_cancellation_is_killed(
    make: Make, tmp_path: Path, fault: str, first: type
) -> None:
    model = make(fault, silence=60)
    # Before the fault, between its first chunk and its next step, the worker would obey.
    chunks, seconds = cancelled_soon(model, first, (tmp_path / "struck").exists)
    assert isinstance(chunks[-1], Finish)
    assert chunks[-1].reason == "cancelled"
    assert seconds < 10
    (worker,) = started(tmp_path)[:1]
    deadline = time.monotonic() + 10  # a busy machine reaps the killed process a moment later
    while not gone(worker) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert gone(worker)
    works(model)


@pytest.mark.parametrize("fault", ["slow-load", "hang@load"])
def test_loading_can_be_cancelled(make: Make, tmp_path: Path, fault: str) -> None:
    model = make(fault, silence=60)
    loading = tmp_path / "extra_bufts"

    def cancel() -> None:
        while not loading.exists():
            threading.Event().wait(0.01)
        model.cancel()

    thread = threading.Thread(target=cancel, daemon=True)
    thread.start()
    chunks = list(model.generate(HELLO))
    thread.join()
    assert [chunk.reason for chunk in chunks if isinstance(chunk, Finish)] == ["cancelled"]
    if fault == "hang@load":  # the other one is still there, and still slow
        works(model)
    loading.unlink()
    if fault == "slow-load":
        thread = threading.Thread(target=cancel, daemon=True)
        thread.start()
        with pytest.raises(Interrupted):
            model.count("four")
        thread.join()
        assert len(started(tmp_path)) == 1


def test_to_stop_listening_cancels(make: Make, tmp_path: Path) -> None:
    model = make("endless", starts=0)
    chunks = model.generate(Request([Message("user", "Hi")], max_tokens=10**6))
    assert isinstance(next(chunk for chunk in chunks if isinstance(chunk, Text)), Text)
    with pytest.raises(RuntimeError, match="busy"):
        model.count("four")
    chunks.close()  # type: ignore[attr-defined]
    assert model.count("four") == 4
    assert len(started(tmp_path)) == 1


def test_a_cancellation_while_nothing_runs_is_forgotten(make: Make) -> None:
    model = make("none")
    model.cancel()
    works(model)
    model.cancel()
    works(model)


def test_closing_ends_a_generation_in_another_thread(make: Make, tmp_path: Path) -> None:
    model = make("hang@write", silence=60)
    writing = threading.Event()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            for chunk in model.generate(HELLO):
                if isinstance(chunk, Text):
                    writing.set()
        except BackendError as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert writing.wait(30)
    model.close()
    thread.join(30)
    assert not thread.is_alive()
    assert ["closed" in str(error) for error in errors] == [True]
    assert gone(started(tmp_path)[0])


SCRIPT = """
import sys, time
from pathlib import Path
from localagent.core.messages import Message
from localagent.models.base import ModelInfo, Profile, Request
from localagent.models.llamacpp.backend import LlamaCpp

folder = Path(sys.argv[1])
model = LlamaCpp(folder / "model.gguf", ModelInfo("toy", "llamacpp", "", Profile()),
                 command=[sys.executable, sys.argv[2], str(folder), sys.argv[3]])
for chunk in model.generate(Request([Message("user", "Hi")], max_tokens=10**6)):
    print(type(chunk).__name__, flush=True)
    if sys.argv[4] == "leave" and type(chunk).__name__ == "Text":
        sys.exit()
"""


@pytest.mark.parametrize("fault", ["hang@read", "hang@load", "endless", "none"])
def test_the_death_of_the_parent_leaves_no_worker(tmp_path: Path, fault: str) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    how = "leave" if fault == "none" else "stay"
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(DOUBLE), fault, how]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        try:
            if fault == "hang@load":
                while not (tmp_path / "extra_bufts").exists():
                    assert parent.poll() is None
                    threading.Event().wait(0.01)
            else:
                assert parent.stdout is not None
                assert parent.stdout.readline()
            if how == "stay":
                parent.kill()
            parent.wait(30)
        finally:
            parent.kill()
    (pid,) = started(tmp_path)
    deadline = time.monotonic() + 30
    # An orphan is reaped by the system's first process, which may take its time: a zombie counts
    # as gone.
    while not gone(pid) and "Z" not in _state(pid) and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    assert gone(pid) or "Z" in _state(pid)


def _state(pid: int) -> str:
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return done.stdout

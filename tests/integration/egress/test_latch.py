"""The lock is closed at the start, whatever is started, and nothing opens it later."""

from __future__ import annotations

import hashlib
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localagent.models.catalog import lock
from localagent.models.catalog.lock import LocalFile, LockFile
from tests.doubles.gguf_file import gguf
from tests.doubles.ollama_server import DIGEST, Ollama

ROOT = Path(__file__).resolve().parents[3]
LEVEL = """
import sys
from localagent.cli import startup as start
from localagent.egress import lock as egress
start.prepare(sys.argv[1:])
print(egress.state().level)
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's part is Linux's")


def level(*words: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", LEVEL, *words],
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "words",
    [(), ("",), ("--mode", "ask"), ("--continue",), ("-C", "."), ("run", "x"), ("models", "list")],
)
def test_every_start_is_locked(words: tuple[str, ...]) -> None:
    assert level(*words) in ("namespace", "landlock")


@pytest.fixture
def toy(tmp_path: Path) -> None:
    """A pinned default model; it cannot be loaded, so a session begins and waits."""
    path = tmp_path / "toy.gguf"
    path.write_bytes(data := gguf())
    values = {
        "id": "toy",
        "file": "toy.gguf",
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "source": (LocalFile(kind="file", path=str(path)),),
    }
    lock.save_user(LockFile(version=1, default="toy", model=(lock.checked(values, "test"),)))


@pytest.fixture
def session(workspace_dir: Path, toy: None) -> Iterator[tuple[int, bytes]]:
    """`localagent` without a word, at a terminal: its process, and what it showed at its prompt."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(workspace_dir)
        os.environ.update(TERM="dumb", PYTHONPATH=str(ROOT))
        os.execv(sys.executable, [sys.executable, "-m", "localagent"])
    shown = b""
    try:
        while b"\n> " not in shown:
            shown += os.read(terminal, 4096)
        yield pid, shown
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(terminal)


def test_a_session_that_is_begun_without_a_word_is_locked(session: tuple[int, bytes]) -> None:
    pid, shown = session
    own = os.readlink(f"/proc/{pid}/ns/net") != os.readlink("/proc/self/ns/net")
    filtered = "Seccomp:\t2" in Path(f"/proc/{pid}/status").read_text()
    assert own or filtered, shown


WIDEN = """
import os, sys
from pathlib import Path
from localagent.cli import startup as start
from localagent.config import settings as config
from localagent.config import policy
from localagent.egress import lock as egress
start.prepare(["run", "x"])
before = egress.state()
later = sys.argv[1]
os.environ.update({name: later for name in ("LOCALAGENT_OLLAMA_HOST", "OLLAMA_HOST", "HTTP_PROXY")})
folder = Path.home() / ".config/localagent"
(folder / "config.toml").write_text(f'ollama_host = "{later}"\\n')
start.prepare(["models", "fetch"])
egress.lock((egress.Destination("127.0.0.1", int(later.rpartition(":")[2])),), kernel=False)
assert egress.state() is before, egress.state()
from localagent.session.models import open_model
from localagent.core.errors import LocalAgentError
from localagent.core.messages import Message
from localagent.models.catalog import lock
from localagent.models.base import Request
settings = config.load(None)
assert settings.ollama_host == later
model = open_model(lock.load().entry("a"), settings)
try:
    print(list(model.generate(Request((Message("user", "hello"),)))))
except LocalAgentError as error:
    print(type(error).__name__, error.message)
finally:
    model.close()
"""


@pytest.mark.parametrize("known", [True, False])
def test_what_is_set_later_does_not_widen_it(home: Path, known: bool) -> None:
    """Settings, variables and the policy as they are now, and a second lock: all too late. Where an
    Ollama server was named at the start, it is another one."""
    folder = home / ".config/localagent"
    folder.mkdir(parents=True)
    entry = f'id = "a"\nbackend = "ollama"\nname = "toy:1b"\ndigest = "{DIGEST}"\n'
    pinned = f"version = 1\n[[model]]\n{entry}"
    write = f"(folder / 'models.lock').write_text({pinned!r})\n"
    if known:
        (folder / "models.lock").write_text(pinned)
    code = WIDEN.replace("settings = config", write + "settings = config")
    with Ollama() as later:
        done = subprocess.run(
            [sys.executable, "-c", code, later.url],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.stdout.startswith("ModelLoadError"), done.stderr
        assert later.seen == []

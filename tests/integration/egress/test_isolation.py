"""localagent's process runs without code of packages, variables and descriptors of its caller."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
AIRGAP = ("doctor", "--airgap", "--quick", "--json")
# Code that runs when Python starts, and from then on sees each file that this process opens.
LIBRARY = """
import os, sys
log = os.open({log!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.write(log, b"started\\n")
sys.addaudithook(lambda event, args: event == "open" and os.write(log, ascii(args).encode()))
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="descriptors in /proc")


class Installed:
    """localagent in a virtual environment of its own, with its packages by a `.pth` file."""

    def __init__(self, folder: Path, home: Path) -> None:
        venv.create(folder, symlinks=True)
        self.folder, self.log, self.home = folder, folder / "log", home
        (self.packages,) = folder.glob("lib/python3*/site-packages")
        (self.packages / "own.pth").write_text(f"{ROOT}\n{sysconfig.get_path('purelib')}\n")
        self.library = LIBRARY.format(log=str(self.log))

    def run(self, *words: str, **env: str) -> str:
        """What a command of Python prints."""
        names = ("PATH", "LANG")
        variables = {name: os.environ[name] for name in names if name in os.environ}
        done = subprocess.run(
            [str(self.folder / "bin/python"), *words],
            cwd=self.home,
            env=variables | {"HOME": str(self.home)} | env,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def put(self, place: str) -> dict[str, str]:
        """Put the library where Python runs it; the result are variables for its start."""
        folder = self.packages
        if place == "evil.pth":
            (folder / place).write_text("import evil_helper\n")
            (folder / "evil_helper.py").write_text(self.library)
        elif place == "PYTHONPATH":
            folder = self.folder / "elsewhere"
            folder.mkdir()
            (folder / "sitecustomize.py").write_text(self.library)
            return {"PYTHONPATH": str(folder)}
        elif place == "user":
            settings = self.folder / "pyvenv.cfg"
            text = settings.read_text()
            settings.write_text(text.replace("packages = false", "packages = true"))
            version = f"python{sys.version_info.major}.{sys.version_info.minor}"
            folder = self.home / ".local/lib" / version / "site-packages"
            folder.mkdir(parents=True)
            (folder / "usercustomize.py").write_text(self.library)
        else:
            (folder / place).write_text(self.library)
        return {}


PLACES = {
    "evil.pth": "site-packages/evil.pth",
    "sitecustomize.py": "site-packages/sitecustomize.py",
    "PYTHONPATH": "PYTHONPATH",
    "user": "/.local/lib/",
}


@pytest.fixture
def installed(tmp_path: Path, home: Path) -> Installed:
    return Installed(tmp_path / "installed", home)


@pytest.mark.parametrize("place", PLACES)
def test_a_library_sees_nothing_of_localagent(place: str, installed: Installed) -> None:
    shown = installed.run("-m", "localagent", "config", "show", **installed.put(place))
    assert "sandbox" in shown
    assert installed.log.read_text().startswith("started\n")
    assert "models.lock" not in installed.log.read_text()
    assert "policy.toml" not in installed.log.read_text()


@pytest.mark.parametrize("place", [*PLACES, "standard input"])
def test_airgap_fails_and_names_it(place: str, installed: Installed) -> None:
    """A program that such a library started could still run; a socket could lead out."""
    env = installed.put(place) if place in PLACES else {}
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as connection,
    ):
        done = subprocess.run(
            [str(installed.folder / "bin/python"), "-m", "localagent", *AIRGAP],
            cwd=installed.home,
            env={"PATH": os.environ["PATH"], "HOME": str(installed.home)} | env,
            stdin=connection.fileno() if place not in PLACES else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 1, done.stderr
    (start,) = (check for check in json.loads(done.stdout)["checks"] if check["name"] == "start")
    assert not start["holds"] and PLACES.get(place, place) in start["found"]


def test_a_preloaded_library_is_named_and_not_loaded_again(installed: Installed) -> None:
    """The loader complains once for each program that shall load a missing library."""
    code = "from localagent.core.isolation import before_lock; print(before_lock())"
    assert "LD_PRELOAD" in installed.run("-c", code, LD_PRELOAD="/missing.so")
    done = subprocess.run(
        [str(installed.folder / "bin/python"), "-m", "localagent", "config", "path"],
        env={"PATH": os.environ["PATH"], "HOME": str(installed.home), "LD_PRELOAD": "/missing.so"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout.endswith("config.toml\n")
    assert done.stderr.count("/missing.so") <= 1


def test_what_ran_is_named_after_the_second_start(installed: Installed) -> None:
    (installed.packages / "evil.pth").write_text("import this_is_missing\n")
    code = "from localagent.core.isolation import before_lock; print(before_lock())"
    mark = "localagent=/a/evil.pth\nPYTHONHOME"
    path = f"import sys; sys.path.append({str(ROOT)!r}); "
    assert installed.run("-I", "-S", "-X", mark, "-c", path + code).strip() == (
        "['/a/evil.pth', 'PYTHONHOME']"
    )
    assert installed.run("-I", "-S", "-c", path + code).strip() == "[]"
    assert "evil.pth" in installed.run("-c", code)


def test_the_program_starts_isolated(installed: Installed) -> None:
    program = str(ROOT / "localagent/__main__.py")
    assert "sandbox" in installed.run("-I", "-S", program, "config", "show")
    assert "0." in installed.run("-I", "-S", program, "--version")


def test_descriptors_of_the_caller_are_closed() -> None:
    """A pipe that the command line names stays, as a shell's <(...) needs; a socket never does."""
    code = (
        "import json, os, sys; from localagent.core.isolation import isolate\n"
        "isolate(sys.argv[1:])\n"
        "print([n for n in map(int, sys.argv[3:]) if os.path.lexists(f'/proc/self/fd/{n}')])"
    )
    reader, writer = os.pipe()
    named, other = os.pipe()
    one, two = socket.socketpair()
    with open(__file__) as file, one, two:
        numbers = (reader, writer, named, other, one.fileno(), two.fileno(), file.fileno())
        words = [f"--input=/dev/fd/{named}", f"/proc/self/fd/{one.fileno()}", *map(str, numbers)]
        done = subprocess.run(
            [sys.executable, "-c", code, *words],
            pass_fds=numbers,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert json.loads(done.stdout) == [named, file.fileno()], done.stderr
    for number in (reader, writer, named, other):
        os.close(number)


def test_a_network_stream_is_named() -> None:
    """Even after the lock, which leaves standard output to the caller."""
    code = (
        "import sys; from localagent.egress import lock; lock.lock()\n"
        "sys.stderr.write(','.join(lock.network_streams()))"
    )
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as connection,
    ):
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=connection.fileno(),
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=60,
        )
    assert done.stderr.decode() == "standard output"

"""Starting is quick: nothing heavy is imported before a command needs it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = (
    "llama_cpp",
    "ollama",
    "httpx",
    "prompt_toolkit",
    "rich",
    "pydantic",
    "numpy",
    "jinja2",
    "pathspec",
    "tree_sitter",
)


def fresh(code: str) -> str:
    """What `code` prints in an interpreter of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    "code",
    [
        "import localagent",
        "import localagent.cli.main",
        "from localagent.cli.main import main; main(['--version'])",
        "from localagent.cli.main import main; main(['run', '--help'])",
    ],
)
def test_nothing_heavy_is_imported(code: str) -> None:
    loaded = json.loads(fresh(f"{code}\nimport json, sys; print(json.dumps(list(sys.modules)))"))
    assert "localagent" in loaded
    assert [name for name in HEAVY if name in loaded] == []
    assert "localagent.session.factory" not in loaded


@pytest.mark.parametrize("flag", ["--version", "--help"])
def test_cpu_time_is_within_the_budget(flag: str) -> None:
    """The budget is 0.25 s; the best of three counts, since a busy machine is no fault of ours."""
    code = (
        f"import sys, time\nfrom localagent.cli.main import main\nmain([{flag!r}])\n"
        "sys.stdout.write(f'\\n{time.process_time()}\\n')"
    )
    assert min(float(fresh(code)) for _ in range(3)) < 0.25


def test_the_package_imports_where_there_is_no_unix() -> None:
    """As on Windows: without the modules that only Unix has, every module but the Linux programs
    and the llama.cpp worker imports. The packages from outside are imported before."""
    code = """
import importlib, pkgutil, sys, types
import localagent
skipped = ("launcher", "worker.llama", "__main__", "probe", "localagent.sample", "escape_tests")
names = [m.name for m in pkgutil.walk_packages(localagent.__path__, "localagent.")]
names = [n for n in names if not any(s in n for s in skipped)]
for name in names:
    importlib.import_module(name)
for name in [n for n in sys.modules if n.split(".")[0] == "localagent"]:
    del sys.modules[name]
for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
sys.modules["msvcrt"] = types.ModuleType("msvcrt")
sys.platform = "win32"
for name in names:
    importlib.import_module(name)
print(len(names))
"""
    assert int(fresh(code)) > 50


def test_ctrl_c_before_the_modules_are_loaded_prints_no_traceback() -> None:
    code = (
        "import os, signal, sys, localagent.__main__\n"
        "from localagent.core import isolation\n"
        "isolation.isolate = lambda words: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.argv = ['localagent', 'doctor']; localagent.__main__.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == -signal.SIGINT
    assert done.stderr == ""

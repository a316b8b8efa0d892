"""The import rules of the design, read from the source: layers, outside packages, platforms."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "localagent"

# From the bottom up; a module may import its own layer and those below it. The longest matching
# prefix names a module's layer.
LAYERS: tuple[tuple[str, ...], ...] = (
    # What is of a package above here are pure functions on names and texts.
    (
        "errors",
        "messages",
        "changes",
        "events",
        "paths",
        "filelock",
        "childpython",
        "grammars",
        "edits",
        "guard.secrets",
        "guard.detector",
        "guard.invisible",
        "guard.closed_ports",
        "guard.marks",
        "index.kinds",
        "index.frames",
    ),
    ("workspace", "gitadopt", "gitcommit", "gitfiles", "gitstaged", "ignorefiles"),
    ("models", "tools", "index", "guard", "journal"),
    ("context",),
    ("agent",),
    ("config", "config_change", "config_schema", "extend"),
    ("session",),
    ("app", "app_models", "app_project", "app_records", "app_replay", "app_undo", "doctor"),
    ("ui", "commands", "cli", "start", "__main__"),
)
# Which modules may import a package from outside; the fewer, the easier it is to replace.
OUTSIDE: dict[str, tuple[str, ...]] = {
    "llama_cpp": ("models.llamacpp_worker",),
    "numpy": ("models.worker_sampler",),
    "rich": ("ui",),
    "pygments": ("ui.code",),
    "prompt_toolkit": ("ui.tui",),
    "tree_sitter": ("grammars",),
    "watchdog": ("index.watcher",),
    "ollama": ("models.ollama_client",),
    "httpx": ("models.ollama_client", "models.ollama_transport"),
    "jinja2": ("models.worker_template",),
    "pathspec": ("ignorefiles", "tools.search"),
    # Trust edges only: settings, the lock, a worker's or server's messages, tool arguments.
    "pydantic": (
        "config_schema",
        "models.lock",
        "models.ollama_wire",
        "models.wire",
        "models.worker_kvfiles",
        "tools",
    ),
    "tomli_w": ("models.lock",),
}
# What exists on Linux (or Unix) only, and so must be imported where it is used.
UNIX_ONLY = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "posix", "syslog"}
# Programs of their own that start on Linux only; nothing may import them.
LINUX_PROGRAMS = {"guard.sandbox.launcher"}
# agent/ works with protocols; the composition root chooses what is behind them.
AGENT_MAY = {
    "models.base",
    "tools.base",
    "index.base",
    "guard.sandbox.base",
    "context",
    "agent",
    *LAYERS[0],
    *LAYERS[1],
}


@dataclass(frozen=True)
class Import:
    """`module` imports `target`; `top` where that happens when the module is imported."""

    module: str
    target: str
    line: int
    top: bool


def module_name(path: Path, package: Path) -> str:
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path, package: Path) -> Iterator[Import]:
    """All imports of a file; those for type checking only are left out."""
    name = module_name(path, package)
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    yield from _walk(tree, name, True, path.name == "__init__.py")


def _walk(node: ast.AST, name: str, top: bool, is_package: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            for other in child.orelse:
                yield from _walk(other, name, top, is_package)
        elif isinstance(child, ast.If) and "platform" in ast.dump(child.test):
            yield from _walk(child, name, False, is_package)
        elif isinstance(child, ast.Import):
            yield from (Import(name, a.name, child.lineno, top) for a in child.names)
        elif isinstance(child, ast.ImportFrom):
            base = child.module or ""
            if child.level:
                parts = name.split(".") if name else []
                parts = parts[: len(parts) - child.level + (1 if is_package else 0)]
                base = ".".join(["localagent", *parts, *([base] if base else [])])
            if base == "localagent":  # from localagent import config
                yield from (
                    Import(name, f"{base}.{a.name}", child.lineno, top) for a in child.names
                )
            else:
                yield Import(name, base, child.lineno, top)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            caught = isinstance(child, ast.Try)
            yield from _walk(child, name, top and not inside and not caught, is_package)


def within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


def layer(module: str) -> int | None:
    found = [
        (len(prefix), number)
        for number, prefixes in enumerate(LAYERS)
        for prefix in prefixes
        if within(module, prefix)
    ]
    return max(found)[1] if found else None


def faults(package: Path) -> list[str]:
    """Every import of `package` that breaks a rule."""
    found = []
    for path in sorted(package.rglob("*.py")):
        if path.relative_to(package).parts[0] in ("sample",):
            continue
        for item in imports_of(path, package):
            found += [f"{item.module}:{item.line} imports {item.target}: {w}" for w in _why(item)]
    return found


def _why(item: Import) -> Iterator[str]:
    first, _, inner = item.target.partition(".")
    if first == "localagent":
        if inner in ("", "__version__"):
            return
        here, there = layer(item.module), layer(inner)
        if inner in LINUX_PROGRAMS:
            yield "it is a program, not a module"
        if item.module and here is None:
            yield f"localagent.{item.module} is in no layer of tests/test_imports.py"
        elif there is None:
            yield "it is in no layer of tests/test_imports.py"
        elif here is not None and there > here:
            yield f"layer {LAYERS[here][0]!r} may not import upwards"
        if within(item.module, "agent") and not any(
            within(inner, allowed) for allowed in AGENT_MAY
        ):
            yield "agent/ may import protocols only"
    elif first in OUTSIDE:
        if not any(within(item.module, place) for place in OUTSIDE[first]):
            yield f"only {', '.join(OUTSIDE[first]) or 'nobody'} may import {first}"
    elif first in UNIX_ONLY:
        if item.top and item.module not in LINUX_PROGRAMS:
            yield "not on every platform, so not at the top of a module"
    elif first not in sys.stdlib_module_names and not within(item.module, "agent.probe"):
        # The probe runs in the project's own interpreter, with the project's pytest.
        yield "an outside package without a rule"


def test_the_package_keeps_the_rules() -> None:
    assert faults(PACKAGE) == []


@pytest.mark.parametrize(
    ("module", "source", "fault"),
    [
        ("events.py", "from localagent.workspace.workspace import Workspace", "upwards"),
        ("models/base.py", "def f():\n    import localagent.agent.loop", "upwards"),
        ("guard/x.py", "from ..session import Session", "upwards"),
        ("journal/x.py", "from localagent import app", "upwards"),
        ("agent/loop.py", "from localagent.tools.shell import Shell", "protocols only"),
        ("agent/planners/x.py", "from ...guard.sandbox import unshare", "protocols only"),
        ("agent/x.py", "import localagent.index.disk", "protocols only"),
        ("models/llamacpp/backend.py", "import llama_cpp", "only models.llamacpp_worker"),
        ("cli.py", "def f():\n    from rich.console import Console", "only ui"),
        ("index/x.py", "import watchdog.events", "only index.watcher"),
        ("journal/x.py", "import fcntl", "not on every platform"),
        ("journal/x.py", "class A:\n    import resource", "not on every platform"),
        ("journal/x.py", "import requests", "outside package"),
        ("novel.py", "from localagent.core.errors import UsageError", "in no layer"),
    ],
)
def test_a_planted_fault_is_found(tmp_path: Path, module: str, source: str, fault: str) -> None:
    package = tmp_path / "localagent"
    path = package / module
    path.parent.mkdir(parents=True)
    path.write_text(source)
    found = faults(package)
    assert len(found) >= 1
    assert fault in found[0]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("agent/loop.py", "from localagent.models.base import Model"),
        ("journal/x.py", "def f():\n    import fcntl"),
        ("journal/x.py", "try:\n    import fcntl\nexcept ImportError:\n    fcntl = None"),
        ("journal/x.py", "import sys\nif sys.platform != 'win32':\n    import fcntl"),
        ("events.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import rich"),
        ("ui/x.py", "from rich.text import Text\nfrom . import clean"),
    ],
)
def test_what_is_right_is_not_reported(tmp_path: Path, module: str, source: str) -> None:
    package = tmp_path / "localagent"
    path = package / module
    path.parent.mkdir(parents=True)
    path.write_text(source)
    assert faults(package) == []

"""The import rules of the design, read from the source: layers, outside packages, platforms."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "localagent"

# From the bottom up: a module may import its own folder and the folders before it.
FOLDERS = (
    *("core", "linux", "redaction", "code", "egress", "edits", "workspace", "permissions"),
    *("models", "sandbox", "index", "logs", "history", "config", "selftest", "tools", "context"),
    *("project", "agent", "session", "doctor", "ui", "cli", "__main__"),
)
# Which modules may import a package from outside; the fewer, the easier it is to replace.
OUTSIDE: dict[str, tuple[str, ...]] = {
    "llama_cpp": ("models.llamacpp.worker.llama",),
    "numpy": ("models.llamacpp.worker.sampler",),
    "rich": ("ui",),
    "pygments": ("ui.view.highlight",),
    "prompt_toolkit": ("ui.tui",),
    "tree_sitter": ("code",),
    "watchdog": ("index.watcher",),
    "drain3": ("logs.templates",),
    "ollama": ("models.ollama.client",),
    "httpx": ("models.openai.client", "models.server.errors", "models.server.transport"),
    "jinja2": ("models.chat_templates.jinja",),
    "pathspec": ("workspace.gitignore",),
    # Trust edges only: settings, the lock, a worker's or server's messages, tool arguments.
    "pydantic": (
        "models.catalog.lock",
        "models.ollama.protocol",
        "models.openai.protocol",
        "models.llamacpp.protocol",
        "models.llamacpp.worker.kv_files",
        "tools",
    ),
    "tomlkit": ("config.edit", "models.catalog.lock"),
    "psutil": ("models.llamacpp.hardware",),
    "shtab": ("cli",),
    "ray": ("session.batch.engines",),  # an extra
    "anyio": ("models.ollama", "models.openai", "models.server"),
}
# Which modules may open connections at all. Escape tests try to, so that sandboxes are tested.
NETWORK = (
    "socket",
    "_socket",
    "ssl",
    "http",
    "urllib.request",
    "ftplib",
    "smtplib",
    "socketserver",
)
MAY_CONNECT = (
    *("egress", "models.ollama.client", "models.openai.client"),
    *("models.server.errors", "models.server.transport"),
    *("core.loopback", "sandbox.launcher.port_relay", "selftest"),
)
# What exists on Linux (or Unix) only, and so must be imported where it is used.
UNIX_ONLY = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "posix", "syslog"}
# Programs of their own that start on Linux only; nothing may import them.
LINUX_PROGRAMS = {"sandbox.launcher.main"}
# Programs for the project's own interpreter, with the project's packages.
PROJECTS = ("agent.checks.probe", "agent.migration.program")
# agent/ works with protocols; the composition root chooses what is behind them.
AGENT_MAY = (
    *("models.base", "tools.base", "index.base", "sandbox.base", "project.build_commands"),
    *("models.alternatives", "project.python_environment"),
    *("agent", "context", "workspace", "edits", "code", "redaction", "logs", "core"),
)


@dataclass(frozen=True)
class Import:
    """`module` imports `target`, or `names` from it; `top` where that happens at import time."""

    module: str
    target: str
    line: int
    top: bool
    names: tuple[str, ...] = ()


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
                names = tuple(alias.name for alias in child.names)
                yield Import(name, base, child.lineno, top, names)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            caught = isinstance(child, ast.Try)
            yield from _walk(child, name, top and not inside and not caught, is_package)


def within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


def layer(module: str) -> int | None:
    """The place of a module's folder, from the bottom up; None where it is in no folder."""
    folder = module.partition(".")[0]
    return FOLDERS.index(folder) if folder in FOLDERS else None


def circles(imports: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other, whether at the top or within a function."""
    reached: dict[str, set[str]] = {}
    for start in imports:
        waiting, seen = [start], set[str]()
        while waiting:
            new = imports.get(waiting.pop(), set()) - seen
            seen |= new
            waiting += new
        reached[start] = seen
    groups = {
        frozenset(other for other in reached[module] if module in reached.get(other, set()))
        for module in imports
        if module in reached[module]
    }
    return sorted(sorted(group) for group in groups)


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
            yield f"localagent.{item.module} is in no folder of tests/unit/test_imports.py"
        elif there is None:
            yield "it is in no folder of tests/unit/test_imports.py"
        elif here is not None and there > here:
            yield f"folder {FOLDERS[here]!r} may not import upwards"
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
    elif _connects(item) and not any(within(item.module, place) for place in MAY_CONNECT):
        yield f"only {', '.join(MAY_CONNECT)} may import {item.target}"
    elif first not in sys.stdlib_module_names and not any(
        within(item.module, place) for place in PROJECTS
    ):
        yield "an outside package without a rule"


def _connects(item: Import) -> bool:
    targets = [item.target, *(f"{item.target}.{name}" for name in item.names)]
    return any(within(target, module) for target in targets for module in NETWORK)


def test_the_package_keeps_the_rules() -> None:
    assert faults(PACKAGE) == []


def test_no_modules_import_each_other() -> None:
    paths = [path for path in PACKAGE.rglob("*.py") if "sample" not in path.parts]
    modules = {module_name(path, PACKAGE) for path in paths}
    imports: dict[str, set[str]] = {module: set() for module in modules}
    for path in paths:
        for item in imports_of(path, PACKAGE):
            base = item.target.removeprefix("localagent.")
            inside = {f"{base}.{name}" for name in item.names} & modules
            imports[item.module] |= inside or {base} & modules
    assert circles(imports) == []


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]


@pytest.mark.parametrize(
    ("module", "source", "fault"),
    [
        ("core/x.py", "from localagent.workspace.workspace import Workspace", "upwards"),
        ("models/base.py", "def f():\n    import localagent.agent.loop", "upwards"),
        ("permissions/x.py", "from ..session import session", "upwards"),
        ("history/x.py", "from localagent import session", "upwards"),
        ("agent/loop.py", "from localagent.tools.shell import Shell", "protocols only"),
        ("agent/planners/x.py", "from ...sandbox.kinds import unshare", "protocols only"),
        ("agent/x.py", "import localagent.index.disk", "protocols only"),
        ("models/x.py", "import llama_cpp", "only models.llamacpp.worker.llama"),
        ("cli/x.py", "def f():\n    from rich.console import Console", "only ui"),
        ("index/x.py", "import watchdog.events", "only index.watcher"),
        ("history/x.py", "import fcntl", "not on every platform"),
        ("history/x.py", "class A:\n    import resource", "not on every platform"),
        ("history/x.py", "import pandas", "outside package"),
        (
            "history/x.py",
            "def f():\n    from urllib.request import urlopen",
            "may import urllib.request",
        ),
        ("novel.py", "from localagent.core.errors import UsageError", "in no folder"),
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
        ("history/x.py", "def f():\n    import fcntl"),
        ("history/x.py", "try:\n    import fcntl\nexcept ImportError:\n    fcntl = None"),
        ("history/x.py", "import sys\nif sys.platform != 'win32':\n    import fcntl"),
        ("core/x.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import rich"),
        ("ui/x.py", "from rich.text import Text\nfrom . import clean"),
    ],
)
def test_what_is_right_is_not_reported(tmp_path: Path, module: str, source: str) -> None:
    package = tmp_path / "localagent"
    path = package / module
    path.parent.mkdir(parents=True)
    path.write_text(source)
    assert faults(package) == []

"""Start localagent without code of others, and without what its caller left open.

Python runs code before it runs localagent: lines of `.pth` files, `sitecustomize`,
`usercustomize`, and modules that PYTHON variables name; the system's loader runs the libraries that
LD_PRELOAD and LD_AUDIT name. Such code can keep a connection that the
egress lock does not close. If there is such code, localagent starts again in the same process with
the options -I and -S, which run none of it. A program that such code started may still run, so
`localagent doctor --airgap` names what ran (`before_lock`).
"""

from __future__ import annotations

import os
import re
import site
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
_FOLDER = os.path.dirname(_PACKAGE)  # noqa: PTH120
PROGRAM = f"{_PACKAGE}/__main__.py"
"""The file to start with `python -I -S`, which then runs no code of others."""
# The option -X of a second start. Its value has the reasons for the start, one a line.
_RESTARTED = "localagent"

# PYTHON variables that neither load code nor name folders of code.
_HARMLESS = re.compile(
    "PYTHON(?:_(?!PRESITE).*|UNBUFFERED|DONTWRITEBYTECODE|IOENCODING|UTF8|HASHSEED|COERCECLOCALE"
    "|NOUSERSITE|SAFEPATH|NODEBUGRANGES|FAULTHANDLER|DEVMODE|MALLOC|INTMAXSTRDIGITS|OPTIMIZE"
    "|STARTUP|BREAKPOINT)"
)
# Variables with which the system's loader runs libraries in each program.
_LOADER = ("LD_PRELOAD", "LD_AUDIT")
# The line of setuptools, which Python 3.11 puts into each virtual environment.
_KNOWN = (
    "import os; var = 'SETUPTOOLS_USE_DISTUTILS'; "
    "enabled = os.environ.get(var, 'local') == 'local'; "
    "enabled and __import__('_distutils_hack')"
)
_KNOWN_ENDS = (".add_shim();", ";", "")
# Descriptors that the command line names, as a shell's <(...) does.
_NAMED = re.compile(r"/(?:dev|proc/self)/fd/(\d+)")
_CODE = ("import ", "import\t")


def isolate(words: Sequence[str]) -> None:
    """Start again if code of others ran, and close what the caller left open.

    `words` are the arguments of the command line. Call it first; it may not return.
    """
    if sys.flags.isolated and sys.flags.no_site:
        _add_packages()
    elif os.name == "posix" and (reasons := before_lock()):
        from localagent.core.interpreter import plain_python

        mark = f"{_RESTARTED}={os.linesep.join(reasons)}"
        options = [*(["-B"] if sys.dont_write_bytecode else []), "-X", mark]
        for name in _LOADER:
            os.environ.pop(name, None)
        with suppress(OSError):  # without a second start, `--airgap` fails
            os.execv(sys.executable, plain_python(*options, PROGRAM, *words))
    named = {int(number) for word in words for number in _NAMED.findall(word)}
    close_inherited(
        lambda number, mode: stat.S_ISREG(mode) or (number in named and not stat.S_ISSOCK(mode))
    )


def close_inherited(keep: Callable[[int, int], bool]) -> None:
    """Close the descriptors that the caller left open, which may lead out of the lock.

    Standard input, output and errors stay open, and each descriptor for which `keep` returns True.
    Its arguments are the descriptor and the mode of the open file.
    """
    try:
        names = os.listdir("/proc/self/fd")  # noqa: PTH208
    except OSError:
        return
    for name in names:
        with suppress(OSError):
            if int(name) > 2 and not keep(int(name), os.fstat(int(name)).st_mode):
                os.close(int(name))


def before_lock() -> list[str]:
    """Return what ran code of others before localagent: files, folders and variables.

    The result is empty for a process that started with -I and -S.
    """
    if sys.flags.isolated and sys.flags.no_site:
        reasons = sys._xoptions.get(_RESTARTED, "")
        return reasons.splitlines() if isinstance(reasons, str) else []
    folders = site.getsitepackages()
    found = _variables()
    if site.ENABLE_USER_SITE:
        folders.append(user := site.getusersitepackages())
        found += [user] if user in sys.path and user != _FOLDER else []
    found += [path for folder in folders for path in _path_files(folder) if _runs_code(path)]
    library = os.path.dirname(os.__file__)  # noqa: PTH120
    for name in ("sitecustomize", "usercustomize"):
        spec = find_spec(name)
        if spec is not None and os.path.dirname(spec.origin or "") != library:  # noqa: PTH120
            found.append(str(spec.origin))
    return found


def _variables() -> list[str]:
    """Return the variables of this process that may load code into Python."""
    return [
        name
        for name, value in os.environ.items()
        if (name in _LOADER and value)
        or (
            name.startswith("PYTHON")
            and not _HARMLESS.fullmatch(name)
            and not (name == "PYTHONPATH" and os.path.abspath(value) == _FOLDER)  # noqa: PTH100
            and not (name == "PYTHONWARNINGS" and "." not in value)  # "." names a module
        )
    ]


def _add_packages() -> None:
    """Make localagent's packages importable, as `site` does, without running any code."""
    for name in _variables():
        del os.environ[name]  # the processes that localagent starts honor them
    prefixes = [sys.prefix]
    above = os.path.dirname(os.path.dirname(os.path.abspath(sys.executable)))  # noqa: PTH100, PTH120
    settings = _lines(f"{above}/pyvenv.cfg")
    if settings:
        prefixes = [above]
        if any(re.fullmatch(r"include-system-site-packages\s*=\s*true", s) for s in settings):
            prefixes.append(sys.base_prefix)
        sys.prefix = sys.exec_prefix = above
    folders = [_FOLDER, *filter(os.path.isdir, site.getsitepackages(prefixes))]
    for folder in folders:
        if folder not in sys.path:
            sys.path.append(folder)
    for folder in folders[1:]:
        lines = [line for path in _path_files(folder) for line in _lines(path)]
        for line in lines:
            place = os.path.join(folder, line)  # noqa: PTH118
            if not line.startswith(("#", *_CODE)) and os.path.isdir(place):  # noqa: PTH112
                sys.path.append(place)


def _path_files(folder: str) -> Iterator[str]:
    """Yield the paths of the `.pth` files in a folder, sorted."""
    with suppress(OSError):
        for name in sorted(os.listdir(folder)):  # noqa: PTH208
            if name.endswith(".pth"):
                yield f"{folder}/{name}"


def _runs_code(path: str) -> bool:
    code = [line.strip() for line in _lines(path) if line.startswith(_CODE)]
    return any(line not in [_KNOWN + end for end in _KNOWN_ENDS] for line in code)


def _lines(path: str) -> list[str]:
    """Return the lines of a file, or none if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return [line.rstrip() for line in file]
    except OSError:
        return []

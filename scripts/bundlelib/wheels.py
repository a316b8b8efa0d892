"""The wheels of a bundle, and requirements with the hashes of exactly these files."""

from __future__ import annotations

import base64
import hashlib
import operator
import re
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from setuplib import places, venv
from setuplib.console import SetupError
from setuplib.process import Runner

_LOCKS = ("runtime", "sample", "bundle-pip")
# Newer tags do not include older ones.
_GLIBC = ("2_28", "2_27", "2_26", "2_24", "2_17", "2_12", "2_5")
_PYTHON = re.compile(r"python_(?:full_)?version\s*(<=|<|>=|>|==|!=)\s*'([0-9.]+)'")
_COMPARE = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_LIBRARY = re.compile(r"\.so(?:\.|$)")
_AUDITED = re.compile(r'following\s+platform\s+tag:\s+"manylinux_2_(\d+)_x86_64"')
_REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)\s*(;[^\\]*)?", re.M)


def collect(
    runner: Runner, folder: Path, engine: Path, pythons: Sequence[str], epoch: int
) -> list[Path]:
    """Fill `folder` with wheels, and write requirements.txt beside it. Raises SetupError."""
    folder.mkdir(parents=True)
    locks = [(places.LOCKS / f"{name}.txt").read_text(encoding="utf-8") for name in _LOCKS]
    with tempfile.TemporaryDirectory() as name:
        files, sources = Path(name, "wheels.txt"), Path(name, "sources.txt")
        with_wheel, without = split("".join(locks), venv.SOURCE_ONLY)
        sources.write_text(without, encoding="utf-8")
        for python in pythons:
            files.write_text(for_python(with_wheel, python), encoding="utf-8")
            _download(runner, folder, files, python)
        names = ["--require-hashes", "--no-binary", venv.SOURCE_ONLY, "--requirement", sources]
        _build(runner, folder, names, epoch)
    _build(runner, folder, ["--no-index", places.REPO], epoch)
    shutil.copy(engine, folder)
    found = sorted(folder.glob("*.whl"))
    text = "".join(requirements(locks, found))
    (folder.parent / "requirements.txt").write_text(text, encoding="utf-8")
    return found


def ensure_portable(runner: Runner, tools: Path, found: Sequence[Path]) -> None:
    """Raise SetupError for a wheel that needs a newer glibc, or a library that RHEL 8 lacks.

    auditwheel reads this from the wheel's libraries. `tools` is the Python that has auditwheel.
    """
    for wheel in found:
        with zipfile.ZipFile(wheel) as archive:
            if not any(_LIBRARY.search(name) for name in archive.namelist()):
                continue
        command = [tools, "-m", "auditwheel", "show", wheel]
        failed = f"auditwheel cannot read {wheel.name}"
        report = "\n".join(runner.must(command, places.environment(), failed))
        tag = _AUDITED.search(report)
        if tag is None or int(tag[1]) > 28:
            reason = f"{wheel.name} needs newer system libraries than those of manylinux_2_28"
            raise SetupError(reason, "the log names them", str(runner.log_path))


def split(lock: str, name: str) -> tuple[str, str]:
    """Return the lock without the package `name`, and the lock with that package only."""
    entries = re.split(r"(?m)^(?=[A-Za-z0-9])", lock)
    chosen = [entry for entry in entries if entry.startswith(f"{name}==")]
    return "".join(entry for entry in entries if entry not in chosen), "".join(chosen)


def for_python(lock: str, python: str) -> str:
    """The lock, with each condition on Python's version as true or false as for `python`.

    `pip download --python-version` evaluates these conditions for the Python that runs pip.
    """

    def decide(condition: re.Match[str]) -> str:
        found, named = (tuple(map(int, text.split("."))) for text in (python, condition[2]))
        return f"python_version {'>=' if _COMPARE[condition[1]](found, named) else '<'} '3'"

    return _PYTHON.sub(decide, lock)


def _download(runner: Runner, folder: Path, lock: Path, python: str) -> None:
    short = python.replace(".", "")
    command = [places.PYTHON, *venv.PIP, "download", "--no-deps", "--require-hashes"]
    command += ["--only-binary", ":all:", "--progress-bar", "off", "--dest", folder]
    command += ["--python-version", python, "--implementation", "cp"]
    command += [word for abi in (f"cp{short}", "abi3", "none") for word in ("--abi", abi)]
    for version in _GLIBC:
        command += ["--platform", f"manylinux_{version}_x86_64"]
    for name in ("manylinux2014", "manylinux2010", "manylinux1", "linux"):
        command += ["--platform", f"{name}_x86_64"]
    command += ["--requirement", lock]
    failed = f"the wheels for Python {python} could not be downloaded"
    runner.must(command, places.environment(), failed)


def _build(runner: Runner, folder: Path, names: Sequence[object], epoch: int) -> None:
    """Build wheels of pure Python from source, the same each time."""
    with tempfile.TemporaryDirectory() as made:
        command = [places.PYTHON, *venv.PIP, "wheel", "--no-deps", "--no-build-isolation"]
        command += ["--no-cache-dir", "--wheel-dir", made, *names]
        env = {**places.environment(), "SOURCE_DATE_EPOCH": str(epoch)}
        runner.must(command, env, "a wheel could not be made from its source")
        for wheel in Path(made).glob("*.whl"):
            repack(wheel, folder, epoch)


def requirements(locks: Sequence[str], wheels: Sequence[Path]) -> Iterator[str]:
    """Yield a line for each package, with its marker and the hashes of its wheels.

    Packages without a wheel, such as those for Windows, are left out.
    """
    markers = {
        (_plain(name), number): f" {marker.strip()}" if marker else ""
        for text in locks
        for name, number, marker in _REQUIREMENT.findall(text)
    }
    files: dict[tuple[str, str], list[Path]] = {}
    for wheel in wheels:
        files.setdefault((_plain(wheel.name.split("-")[0]), version(wheel)), []).append(wheel)
    for (name, number), group in sorted(files.items()):
        hashes = " ".join(f"--hash=sha256:{sha256(wheel)}" for wheel in sorted(group))
        yield f"{name}=={number}{markers.get((name, number), '')} {hashes}\n"


def version(wheel: Path) -> str:
    """The version in a wheel's name."""
    return wheel.name.split("-")[1]


def repack(wheel: Path, folder: Path, epoch: int, tag: str = "") -> Path:
    """Write a wheel again into `folder`: sorted, with one time, and with the platform `tag`."""
    with zipfile.ZipFile(wheel) as archive:
        modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
        names = [name for name in sorted(modes) if not name.endswith("/") and _place(name)]
        files = {_place(name): archive.read(name) for name in names}
    record = next(name for name in files if name.endswith(".dist-info/RECORD"))
    name = wheel.name
    if tag:
        about = record.replace("RECORD", "WHEEL")
        files[about] = re.sub(rb"(?m)^(Tag: .*-)\S+$", rb"\g<1>" + tag.encode(), files[about])
        name = re.sub(r"[^-]+\.whl$", f"{tag}.whl", name)
    files[record] = _record(files, record)
    moment = time.gmtime(max(epoch, 315532800))[:6]  # zip files begin with 1980
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in sorted(files.items()):
            info = zipfile.ZipInfo(path, moment)
            program = modes.get(path, 0) & 0o100  # other bits depend on the umask
            info.external_attr = (0o100755 if program else 0o100644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return folder / name


def _place(name: str) -> str:
    """Where a file of a wheel belongs; "" for nowhere.

    CMake puts the plug-ins of llama.cpp outside of its package, its libraries there a second time,
    and files for compilers, one of which names a temporary folder.
    """
    if name.startswith(("bin/libggml-", "lib/lib")):
        return f"llama_cpp/lib/{name.partition('/')[2]}"
    return "" if name.startswith(("include/", "lib/")) else name


def _record(files: dict[str, bytes], record: str) -> bytes:
    rows = []
    for path, data in files.items():
        if path != record:
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            rows.append(f"{path},sha256={digest},{len(data)}\n")
    return "".join([*rows, f"{record},,\n"]).encode()


def iso_time(epoch: int) -> str:
    """A time as text, such as 2026-11-28T22:00:00Z."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))


def sha256(file: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()

"""The bundle: requirements with hashes, wheels and archives that are the same each time."""

from __future__ import annotations

import base64
import hashlib
import importlib
import re
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from packaging.requirements import Requirement

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts"
EPOCH = 1_700_000_000

Load = Callable[[str], ModuleType]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Imports a module of the scripts, whose names must not stay importable."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    before = set(sys.modules)
    yield lambda name: importlib.import_module(f"bundlelib.{name}")
    for name in set(sys.modules) - before:
        if name.startswith(("bundlelib", "setuplib")):
            del sys.modules[name]


def make_wheel(folder: Path, order: tuple[str, ...], moment: tuple[int, ...], mode: int) -> Path:
    folder.mkdir(parents=True)
    wheel = folder / "toy_pack-1.2-py3-none-linux_x86_64.whl"
    files = {
        "toy/__init__.py": b"",
        "toy/lib.so": b"\x7fELF",
        "toy_pack-1.2.dist-info/WHEEL": b"Wheel-Version: 1.0\nTag: py3-none-linux_x86_64\n",
        "toy_pack-1.2.dist-info/RECORD": b"outdated",
    }
    files |= BUILD_FILES
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in (*order, *BUILD_FILES):
            info = zipfile.ZipInfo(name, (*moment, 0, 0, 0))
            info.external_attr = (mode | 0o111 * name.endswith(".so")) << 16
            archive.writestr(info, files[name])
    return wheel


NAMES = (
    *("toy/__init__.py", "toy/lib.so", "toy_pack-1.2.dist-info/WHEEL"),
    "toy_pack-1.2.dist-info/RECORD",
)
BUILD_FILES = {
    "include/llama.h": b"",
    "lib/pkgconfig/llama.pc": b"prefix=/tmp/tmpqcrrryu0/wheel/platlib",
    "lib/cmake/llama/llama-config.cmake": b"",
}


def test_a_wheel_is_the_same_whatever_its_times_order_and_umask(load: Load, tmp_path: Path) -> None:
    wheels = load("wheels")
    one = make_wheel(tmp_path / "one", NAMES, (2020, 1, 1), 0o644)
    other = make_wheel(tmp_path / "other", NAMES[::-1], (2024, 5, 6), 0o600)
    made = []
    for number, wheel in enumerate((one, other)):
        (folder := tmp_path / str(number)).mkdir()
        made.append(wheels.repack(wheel, folder, EPOCH, "manylinux_2_28_x86_64"))
    assert made[0].name == "toy_pack-1.2-py3-none-manylinux_2_28_x86_64.whl"
    assert made[0].read_bytes() == made[1].read_bytes()
    with zipfile.ZipFile(made[0]) as archive:
        about = archive.read("toy_pack-1.2.dist-info/WHEEL").decode()
        modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
        record = archive.read("toy_pack-1.2.dist-info/RECORD").decode()
        assert sorted(archive.namelist()) == sorted(NAMES)
    assert wheels._place("bin/libggml-cpu-zen4.so") == "llama_cpp/lib/libggml-cpu-zen4.so"
    assert "Tag: py3-none-manylinux_2_28_x86_64" in about
    digest = base64.urlsafe_b64encode(hashlib.sha256(b"\x7fELF").digest()).decode().rstrip("=")
    assert f"toy/lib.so,sha256={digest},4\n" in record
    assert (modes["toy/lib.so"], modes["toy/__init__.py"]) == (0o100755, 0o100644)


def test_requirements_have_markers_and_the_hashes_of_the_wheels(load: Load, tmp_path: Path) -> None:
    lock = (
        "Toy.Pack==1.2 ; python_full_version < '3.13' \\\n    --hash=sha256:aa\n"
        "colorama==0.4 ; sys_platform == 'win32' \\\n    --hash=sha256:bb\n"
        "plain==3 ; python_full_version < '3.12' \\\n    --hash=sha256:cc\n"
        "plain==4 ; python_full_version >= '3.12' \\\n    --hash=sha256:dd\n"
    )
    files = []
    for name in (
        "toy_pack-1.2-cp311-x.whl",
        "toy_pack-1.2-cp312-x.whl",
        "plain-3-py3-none-any.whl",
    ):
        (path := tmp_path / name).write_bytes(name.encode())
        files.append(path)
    sums = [hashlib.sha256(path.name.encode()).hexdigest() for path in files]
    assert list(load("wheels").requirements([lock], files)) == [
        f"plain==3 ; python_full_version < '3.12' --hash=sha256:{sums[2]}\n",
        f"toy-pack==1.2 ; python_full_version < '3.13' --hash=sha256:{sums[0]} "
        f"--hash=sha256:{sums[1]}\n",
    ]


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_packages_are_downloaded_for_another_python(python: str, load: Load) -> None:
    """pip evaluates conditions for the Python that it runs in."""
    lock = (
        "plain==3 ; python_full_version < '3.12' \\\n    --hash=sha256:cc\n"
        "plain==4 ; python_full_version >= '3.12' and sys_platform != 'win32' \\\n    --hash=x\n"
        "colorama==1 ; sys_platform == 'win32' \\\n    --hash=sha256:dd\n"
        "always==1 \\\n    --hash=sha256:ee\n"
    )
    entries = load("wheels").for_python(lock, python).split(" \\\n")
    names = [Requirement(entry.rpartition("\n")[2]) for entry in entries[:-1]]
    found = [str(each.specifier) for each in names if not each.marker or each.marker.evaluate()]
    assert found == ["==3" if python == "3.11" else "==4", "==1"]


def test_a_wheel_for_a_newer_system_is_refused(load: Load, tmp_path: Path) -> None:
    wheels, report = load("wheels"), ""
    setup_error = sys.modules["setuplib.console"].SetupError
    audited = []

    class Tools:
        log_path = tmp_path / "log"

        def must(self, command: list[object], env: object, failed: str) -> list[str]:
            audited.append(command[-1])
            return report.splitlines()

    # watchdog's wheel names a platform, and has no library: auditwheel would fail.
    names = ["plain-3-py3-none-any", "watch-2-py3-none-linux_x86_64", "toy-1-py3-none-linux_x86_64"]
    found = [tmp_path / f"{name}.whl" for name in names]
    for wheel in found:
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("toy.so.1" if wheel == found[2] else "toy.py", b"")
    for tag in ("manylinux_2_5_x86_64", "manylinux_2_28_x86_64"):
        report = f'is consistent with the\nfollowing platform tag:\n"{tag}".\n'
        wheels.ensure_portable(Tools(), tmp_path, found)
    assert audited == found[2:] * 2
    for tag in ("manylinux_2_34_x86_64", "linux_x86_64"):
        report = f'is consistent with the\nfollowing platform tag:\n"{tag}".\n'
        with pytest.raises(setup_error, match=r"toy-1-py3-none-linux_x86_64\.whl needs newer"):
            wheels.ensure_portable(Tools(), tmp_path, found)


def test_a_portable_wheel_does_not_depend_on_the_machine(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load("engine")
    llama = sys.modules["setuplib.llama"]
    plan = llama.portable_recipe(tmp_path / "builds", ("-DA=ON",))
    key = plan.key
    monkeypatch.setattr(llama, "machine", lambda: ["another processor"])
    assert plan.key == key == llama.portable_recipe(tmp_path / "b", ("-DA=ON",)).key
    env = llama._environment(plan, tmp_path)
    assert env["CXXFLAGS"] == f"-ffile-prefix-map={tmp_path}=."
    # CMake would look for the machine's binutils, which may be missing.
    assert f"-DCMAKE_AR={tmp_path / 'builds/zig/ar'}" in env["CMAKE_ARGS"]


def test_a_compile_leaves_setups_alone_and_its_wheel_has_no_commits_time(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bundle of a later commit uses the kept wheel, and must be the same on each machine."""
    engine, llama = load("engine"), importlib.import_module("setuplib.llama")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    builds = tmp_path / "localagent/build"
    (builds / "1.0-unfinished/objects").mkdir(parents=True)

    def compile_wheel(plan: object, folder: Path, console: object, runner: object) -> Path:
        made = make_wheel(folder, NAMES, (2020, 1, 1), 0o644)
        (folder / "objects").mkdir()
        llama._tidy(folder.parent)
        assert not (folder / "objects").exists()
        return made

    monkeypatch.setattr(llama, "compile_wheel", compile_wheel)
    kept = engine.wheel(None, None)
    assert engine.wheel(None, None) == kept
    with zipfile.ZipFile(kept) as archive:
        assert {info.date_time[:3] for info in archive.infolist()} == {(1980, 1, 1)}
    assert (builds / "1.0-unfinished/objects").is_dir()
    assert not llama.has_wheel()  # a setup cannot use it


def test_a_setup_does_not_wait_for_a_bundle(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, setup = load("main"), importlib.import_module("setuplib.main")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(setup, "setup", lambda *_, **__: None)
    logs = []

    def make(console: object, runner: Any, options: object) -> int:
        logs.append(runner.log_path.name)
        with setup._alone(None) as handle:  # waits for ever where the lock is the same
            return int(handle > 0)

    monkeypatch.setattr(bundle, "bundle", make)
    assert setup._bundle(None, ["--model", "none"]) == 1
    assert logs == ["bundle.log"]


def test_a_package_without_a_wheel_is_built_apart(load: Load) -> None:
    lock = "# note\na==1 \\\n    --hash=x\nb==2 \\\n    --hash=y\nb-c==3 \\\n    --hash=z\n"
    assert load("wheels").split(lock, "b") == (
        "# note\na==1 \\\n    --hash=x\nb-c==3 \\\n    --hash=z\n",
        "b==2 \\\n    --hash=y\n",
    )


def test_an_archive_has_plain_files_and_a_sorted_manifest(load: Load, tmp_path: Path) -> None:
    archive = load("archive")
    tree = tmp_path / "tree"
    (tree / "b").mkdir(parents=True)
    for name in ("b/x", "b-1", "a.sh"):
        (tree / name).write_text(name)
    target = archive.write(tree, tmp_path / "toy-1.tar", EPOCH)
    first = target.read_bytes()
    (tree / "a.sh").touch()
    assert archive.write(tree, target, EPOCH).read_bytes() == first
    rows = archive.manifest_of(target).read_text().splitlines()
    assert [row[66:] for row in rows] == ["toy-1/a.sh", "toy-1/b-1", "toy-1/b/x", "toy-1.tar"]
    assert rows[0].startswith(hashlib.sha256(b"a.sh").hexdigest() + "  ")
    assert rows[-1].startswith(hashlib.sha256(first).hexdigest() + "  ")
    with tarfile.open(target) as opened:
        members = opened.getmembers()
    assert {(m.isreg(), m.mtime, m.uid) for m in members} == {(True, EPOCH, 0)}
    assert {m.name: m.mode for m in members}["toy-1/a.sh"] == 0o755


def test_the_links_of_the_pages_hold_in_the_bundle(load: Load, tmp_path: Path) -> None:
    load("contents").copy(tmp_path, [])
    pages = sorted(tmp_path.glob("*.md"))
    assert "SECURITY.md" in [page.name for page in pages]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
            assert (page.parent / link).is_file(), f"{page.name}: {link}"


def test_a_model_is_described_with_its_hash_and_quantization(load: Load, tmp_path: Path) -> None:
    entry = {"id": "toy", "bytes": 4, "sha256": "ab" * 32, "license": "MIT", "origin": "here"}
    found = load("sbom").model(entry, tmp_path / "toy-1b-q4_k_m.gguf")
    assert found["type"] == "machine-learning-model"
    assert found["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]
    assert {"name": "localagent:quantization", "value": "Q4_K_M"} in found["properties"]
    assert {"name": "localagent:file", "value": "models/toy-1b-q4_k_m.gguf"} in found["properties"]


def test_every_file_with_code_is_described(load: Load, tmp_path: Path) -> None:
    code = ["Containerfile", "install.sh", "verify.sh", "wheels/a-1-py3-none-any.whl"]
    for name in (*code, "README.md", "models/list.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    found = load("sbom").files(tmp_path)
    assert [each["name"] for each in found] == code
    sums = [hashlib.sha256(name.encode()).hexdigest() for name in code]
    assert [each["hashes"][0]["content"] for each in found] == sums


def test_known_vulnerabilities_are_judged_for_the_locked_versions(load: Load) -> None:
    sbom = load("sbom")
    locks = "".join(path.read_text() for path in (SCRIPTS / "lock").glob("*.txt"))
    locked = dict(re.findall(r"(?m)^([a-z0-9-]+)==([^\s;]+)", locks))
    components = [{"name": n, "version": v, "bom-ref": f"{n}=={v}"} for n, v in locked.items()]
    made = sbom.vex([*components, sbom.llama_cpp()])
    refs = {component["bom-ref"] for component in made["components"]}
    assert refs == {each["affects"][0]["ref"] for each in made["vulnerabilities"]}
    assert {"llama.cpp", "diskcache==5.6.3"} <= refs
    components[list(locked).index("diskcache")]["version"] = "99"
    with pytest.raises(sys.modules["setuplib.console"].SetupError, match="not 99"):
        sbom.vex([*components, sbom.llama_cpp()])


def test_the_reasons_of_the_judgments_hold(load: Load) -> None:
    """CVE-2025-69872 needs the cache on disk; the other faults need code that is not compiled."""
    load("engine")
    assert "-DLLAMA_BUILD_SERVER=OFF" in sys.modules["setuplib.llama"]._CMAKE
    flags = (*sys.modules["setuplib.llama"]._CMAKE, *load("engine").CMAKE)
    assert not any("RPC" in flag for flag in flags)
    sources = (SCRIPTS.parent / "localagent").rglob("*.py")
    assert not [file for file in sources if "DiskCache" in file.read_text(encoding="utf-8")]


def test_a_signature_needs_tool_and_key(
    load: Load, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit):
        load("main").parse(["--sign", "openssl"])
    assert "--sign and --key belong together" in capsys.readouterr().err
    signature = load("signature")
    monkeypatch.setattr(signature.shutil, "which", lambda tool: f"/bin/{tool}")
    with pytest.raises(sys.modules["setuplib.console"].SetupError, match="there is no key nokey"):
        signature.ensure("openssl", "nokey")  # before anything is compiled
    signature.ensure("gpg", "a key's name")


def test_a_package_has_a_manifest_of_its_own(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package's scripts run as root, so the site's signature must cover the package."""
    main, made = load("main"), []
    console = sys.modules["setuplib.console"].Console()
    (package := tmp_path / "toy_1.deb").write_bytes(b"toy")
    (old := tmp_path / "toy_1.deb.manifest.asc").write_text("of an earlier package")
    manifest = load("archive").list_package(package)
    assert manifest.read_text() == f"{hashlib.sha256(b'toy').hexdigest()}  toy_1.deb\n"
    monkeypatch.setattr(main.signature, "sign", lambda *words: made.append(words))
    main._sign(console, manifest, main.parse([]))
    assert not old.exists()
    assert not made
    main._sign(console, manifest, main.parse(["--sign", "gpg", "--key", "site"]))
    assert made == [("gpg", "site", manifest)]


@pytest.mark.parametrize("kind", ["deb", "rpm"])
def test_a_package_has_every_file_with_one_time(kind: str, load: Load, tmp_path: Path) -> None:
    for name in ("install.sh", "wheels/localagent-1.2-py3-none-any.whl", "docs/adr/0001-a.md"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    extra = {"/usr/share/fish/vendor_completions.d/localagent.fish": tmp_path / "fish"}
    settings = load("packages").settings(tmp_path, extra, kind, EPOCH)
    assert (settings["version"], settings["mtime"]) == ("1.2", "2023-11-14T22:13:20Z")
    placed: dict[str, list[str]] = {"file": [], "dir": [], "symlink": []}
    for each in settings["contents"]:
        placed[each.get("type", "file")].append(each["dst"])
    assert placed["file"] == [
        "/opt/localagent/bundle/docs/adr/0001-a.md",
        "/opt/localagent/bundle/install.sh",
        "/opt/localagent/bundle/wheels/localagent-1.2-py3-none-any.whl",
        "/etc/localagent/policy.toml.example",
        "/usr/share/fish/vendor_completions.d/localagent.fish",
    ]
    assert placed["symlink"] == ["/usr/bin/localagent", "/usr/share/man/man1/localagent.1"]
    homes = ["", "/bundle", "/bundle/docs", "/bundle/docs/adr", "/bundle/wheels"]
    # rpm leaves a folder behind that the package does not have.
    assert placed["dir"] == ["/etc/localagent", *(f"/opt/localagent{each}" for each in homes)]
    assert {each["file_info"]["mtime"] for each in settings["contents"]} == {settings["mtime"]}
    assert all(Path(script).is_file() for script in settings["scripts"].values())

"""The setup's modules, one by one."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
from setuplib import host, llama, model, places, process, venv, zig
from setuplib.console import Console, SetupError, duration, size

from localagent.core.paths import models_dir
from localagent.models.catalog import lock as models_lock

LOCKS = sorted(places.LOCKS.glob("*.txt"))


def blocks(text: str) -> list[str]:
    """The requirements of a lock file, each with its hashes."""
    joined = text.replace("\\\n", " ")
    return [line for line in joined.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("file", LOCKS, ids=lambda file: file.name)
def test_every_requirement_is_pinned_by_hash_and_no_index_is_named(file: Path) -> None:
    text = file.read_text()
    assert "://" not in text and "index-url" not in text and "find-links" not in text
    assert blocks(text)
    for block in blocks(text):
        assert re.match(
            r"[a-z0-9-]+==[0-9][^ ]*( ; [^\\]+?)?( +--hash=sha256:[0-9a-f]{64})+$", block
        )


def names(file: str) -> set[str]:
    text = (places.LOCKS / f"{file}.txt").read_text()
    return {block.split("==")[0] for block in blocks(text)}


def test_the_locks_hold_what_the_project_needs() -> None:
    project = tomllib.loads((places.REPO / "pyproject.toml").read_text())
    wanted = {re.split(r"[<>=!~\[ ;]", text)[0] for text in project["project"]["dependencies"]}
    assert wanted <= names("runtime") | names("llama")
    assert {"pytest", "hypothesis"} <= names("test")
    assert {"ruff", "mypy"} <= names("dev")
    backends = {re.split(r"[<>=]", text)[0] for text in project["build-system"]["requires"]}
    assert {*backends, "editables", "scikit-build-core", "cmake", "ninja"} <= names("build")


def test_one_package_has_one_version_in_all_locks() -> None:
    versions: dict[str, set[str]] = {}
    for file in LOCKS:
        for block in blocks(file.read_text()):
            pinned, _, rest = block.partition(" ")
            marker = rest.split("--hash")[0] if ";" in rest else ""
            if "python_full_version" not in marker:
                name, version = pinned.split("==")
                versions.setdefault(name, set()).add(version)
    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


def test_folders_and_the_model_are_those_of_localagent() -> None:
    entry = models_lock.load().entry()
    assert model.pinned() == (entry.id, entry.file, entry.bytes)
    assert places.models() == models_dir()


def test_the_model_is_needed_until_the_file_has_its_size() -> None:
    _, file, count = model.pinned()
    assert model.needed()
    assert model.missing_bytes() > count
    places.models().mkdir(parents=True)
    with (places.models() / file).open("wb") as stream:
        stream.truncate(count - 1)
    assert model.needed()
    os.truncate(places.models() / file, count)
    assert not model.needed()


def compiler(version: str = "c++ 12.2.0\nCopyright (C) Free Software Foundation") -> host.Compiler:
    return host.Compiler("/usr/bin/cc", "/usr/bin/c++", version)


def recipe(version: str = "1", flags: tuple[str, ...] = ("-fno-dse",)) -> llama.Recipe:
    return llama.Recipe(version, "0" * 64, compiler(), flags, ("-DX=1",))


def test_a_kept_compile_is_found_by_version_flags_compiler_and_processor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    same = recipe().key
    assert recipe().key == same
    assert same.startswith("1-")
    others = [recipe("2").key, recipe(flags=()).key]
    newer = llama.Recipe("1", "0" * 64, compiler("c++ 13"), ("-fno-dse",), ("-DX=1",))
    others.append(newer.key)
    monkeypatch.setattr(llama, "machine", lambda: ["Linux", "x86_64", "flags: sse2"])
    others.append(recipe().key)
    assert len({same, *others}) == 5


def test_what_tells_processors_apart_does_not_change_while_running() -> None:
    facts = llama.machine()
    assert facts == llama.machine()
    if sys.platform == "linux":
        assert any(fact.startswith(("flags", "Features")) for fact in facts)


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        (["flags\t\t: fpu sse2 avx512f"], False),
        (["flags\t\t: fpu amx_bf16 amx_tile amx_int8"], True),
        ([], True),
        (["Features\t: fp asimd"], True),
    ],
)
def test_stores_are_kept_only_where_amx_needs_them(
    monkeypatch: pytest.MonkeyPatch, lines: list[str], kept: bool
) -> None:
    monkeypatch.setattr(llama, "machine", lambda: ["Linux", "x86_64", *lines])
    assert bool(llama._processor_flags()) is kept


def test_zig_compiles_unless_another_compiler_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(zig.platform, "libc_ver", lambda: ("glibc", "2.36"))
    monkeypatch.setattr(zig.platform, "machine", lambda: "x86_64")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.delenv("CXX", raising=False)
    found = llama.compiler("none")
    assert found.zig == places.builds() / "zig" and found.version.startswith("ziglang==")
    monkeypatch.setenv("CXX", str(script := tmp_path / "cxx"))
    monkeypatch.setenv("CC", str(script))
    script.write_text("#!/bin/sh\necho mine 1.0\n")
    script.chmod(0o755)
    assert llama.compiler("none") == host.Compiler(str(script), str(script), "mine 1.0\n")


@pytest.mark.parametrize(
    ("libc", "machine", "kind"),
    [("musl", "x86_64", "none"), ("glibc", "riscv64", "none"), ("glibc", "x86_64", "cuda")],
)
def test_zig_is_not_for_every_machine(
    monkeypatch: pytest.MonkeyPatch, libc: str, machine: str, kind: str
) -> None:
    monkeypatch.setattr(zig.platform, "libc_ver", lambda: (libc, "1"))
    monkeypatch.setattr(zig.platform, "machine", lambda: machine)
    assert not zig.is_usable(kind)


def test_gnu_and_clang_are_told_apart() -> None:
    assert compiler().gnu
    assert not compiler("Apple clang version 15.0.0").gnu


def test_only_flags_that_the_compiler_takes_are_used(tmp_path: Path) -> None:
    fake = tmp_path / "c++"
    fake.write_text('#!/bin/sh\ncase "$1" in -fno-dse) exit 1;; esac\n')
    fake.chmod(0o755)
    found = host.Compiler(str(fake), str(fake), "clang")
    assert host.accepted_flags(found, ["-fno-tree-dse", "-fno-dse"]) == ["-fno-tree-dse"]


def test_too_little_space_names_the_place_the_sum_and_the_parts(tmp_path: Path) -> None:
    host.check_space([(tmp_path / "not" / "there", 1, "a")])
    with pytest.raises(SetupError) as caught:
        host.check_space([(tmp_path / "x", 10**18, "packages"), (tmp_path, 10**18, "the model")])
    assert "2000000000.00 GB needed (packages 1000000000.00 GB" in caught.value.message
    assert "XDG_DATA_HOME" in caught.value.hint


@pytest.mark.parametrize(
    ("lines", "message", "hint"),
    [
        (
            ["ERROR: Could not install: [Errno 28] No space left on device"],
            "the disk is full",
            "room",
        ),
        (
            ["WARNING: Retrying (Retry(total=0", "ERROR: No matching"],
            "does not answer",
            "PIP_INDEX",
        ),
        (["ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM"], "not the pinned", "nothing was"),
        (
            ["ERROR: No matching distribution found for numpy"],
            "has no file for it",
            "LOCALAGENT_PY",
        ),
        (["c++: fatal error: Killed signal terminated program cc1plus"], "out of memory", "memory"),
        (["x.c:3: error: expected ';'", "ninja: build stopped"], "expected ';'", "H"),
        (
            [
                "  CMake Error at ggml/src/ggml-vulkan/CMakeLists.txt:14 (find_package):",
                '    Could not find a package configuration file provided by "SPIRV-Headers"',
                "    with any of the following names:",
                "ERROR: Failed to build one or more wheels",
            ],
            "CMake does not find SPIRV-Headers",
            "H",
        ),
        (
            ["  Could NOT find Vulkan (missing: Vulkan_LIBRARY)", "ERROR: Failed to build"],
            "CMake does not find Vulkan",
            "H",
        ),
        ([], "it printed nothing", "H"),
    ],
)
def test_a_failed_program_is_explained_in_one_line(
    lines: list[str], message: str, hint: str, tmp_path: Path
) -> None:
    error = process.explain("it failed", lines, "H", tmp_path / "log")
    assert error.message.startswith("it failed: ")
    assert message in error.message and hint in error.hint
    assert "\n" not in error.message


def test_an_interrupted_program_ends_with_all_that_it_started(tmp_path: Path) -> None:
    runner = process.Runner(tmp_path / "log", os.open(tmp_path / "lock", os.O_CREAT))
    line = "sleep 600 & echo $!; wait"

    def stop(text: str) -> None:
        (tmp_path / "pid").write_text(text)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner.run(["/bin/sh", "-c", line], dict(os.environ), stop)
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 30
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(pid)
    assert line in (tmp_path / "log").read_text()


def alive(pid: int) -> bool:
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return done.stdout.strip()[:1] not in ("", "Z")


def test_a_step_is_one_line_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    console = Console(stream)
    assert not console.worked
    with console.step("packages", "installing") as result:
        for number in range(100):
            console.progress(f"package {number}")
        result.append("3 packages")
    assert re.fullmatch(r"  packages +3 packages +0\.\d s\n", stream.getvalue())
    assert console.worked


def test_times_and_sizes_as_people_say_them() -> None:
    assert [duration(s) for s in (0.31, 9.9, 42, 185)] == ["0.3 s", "9.9 s", "42 s", "3 min 05 s"]
    assert [size(n) for n in (14_164_048, 1_117_320_768)] == ["14 MB", "1.12 GB"]


def test_notes_survive_and_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(venv, "_NOTES", tmp_path / "notes.json")
    assert venv.noted("a") is None
    venv.note("a", 1)
    venv.note("b", {"x": "y"})
    assert (venv.noted("a"), venv.noted("b")) == (1, {"x": "y"})
    (tmp_path / "notes.json").write_text("{")
    assert venv.noted("a") is None
    venv.note("c", 2)
    assert venv.noted("c") == 2

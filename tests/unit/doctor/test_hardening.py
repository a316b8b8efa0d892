"""Hardened systems, laid out in a folder: what doctor recognizes, and what it says to set."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from localagent.doctor import hardening
from localagent.doctor.hardening import hardening_part

if sys.platform != "linux":
    pytest.skip("hardening is examined on Linux only", allow_module_level=True)

MOUNTS = """\
22 1 8:1 / / rw,relatime shared:1 - xfs /dev/sda1 rw
23 22 8:2 / /home rw,nosuid,nodev,noexec shared:2 - xfs /dev/sda2 rw
24 22 0:3 / /tmp rw,nosuid,nodev,noexec - tmpfs tmpfs rw
"""


def system(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_an_ordinary_system_has_nothing_to_report(tmp_path: Path) -> None:
    part = hardening_part(system(tmp_path, proc__sys__user__max_user_namespaces="96365\n"))
    assert (part.lines, part.problems, part.data) == (("nothing found",), (), {})


def test_a_stig_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path("/home/ada")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(sys, "prefix", str(home / "venv"))
    monkeypatch.setattr(hardening, "data_dir", lambda: home / "data")
    monkeypatch.setattr(hardening, "cache_dir", lambda: home / "cache")
    part = hardening_part(
        system(
            tmp_path,
            proc__sys__user__max_user_namespaces="0\n",
            proc__sys__crypto__fips_enabled="1\n",
            proc__sys__kernel__yama__ptrace_scope="0\n",
            proc__self__mountinfo=MOUNTS,
            sys__fs__selinux__enforce="1",
            proc__self__attr__current="unconfined_u:unconfined_r:unconfined_t:s0\0",
            **{"run__fapolicyd.pid": "1"},
        )
    )
    text = "\n".join([*part.lines, *(f"{p.what}: {p.hint}" for p in part.problems)])
    for words in (
        "user.max_user_namespaces is 0, so the kinds unshare and bubblewrap cannot work",
        "FIPS mode is on",
        "sysctl kernel.yama.ptrace_scope=1",
        "fapolicyd-cli --file add /home/ada/venv",
        "SELinux is enforcing, and this process runs as unconfined_u:unconfined_r:unconfined_t:s0",
        "/home/ada/venv is mounted noexec, so the model's library cannot be loaded",
        "with XDG_CACHE_HOME",
        "noexec: /tmp",
    ):
        assert words in text
    assert [problem.what for problem in part.problems if problem.fatal] == [
        "/home/ada/venv is mounted noexec, so the model's library cannot be loaded"
    ]


@pytest.mark.parametrize(
    ("file", "name"), [("run__.containerenv", "podman"), (".dockerenv", "Docker")]
)
def test_a_container_is_named(file: str, name: str, tmp_path: Path) -> None:
    part = hardening_part(system(tmp_path, **{file: ""}))
    assert part.data == {"container": name}


def test_a_read_only_container_is_named(tmp_path: Path) -> None:
    """podman --read-only covers /run/.containerenv by an empty /run."""
    part = hardening_part(system(tmp_path, proc__self__environ="HOME=/\0container=podman\0A=1\0"))
    assert part.data == {"container": "podman"}
    part = hardening_part(system(tmp_path, proc__self__environ="HOME=/\0my_container=x\0"))
    assert part.data == {}

"""install.sh with wheels of a small program: install, upgrade, rollback, uninstall."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
INSTALL = ROOT / "scripts/bundlelib/site/install.sh"
PROGRAM = """
import shutil, sys
def main():
    if sys.argv[1:3] == ["models", "fetch"]:
        shutil.copy(sys.argv[5], sys.argv[3])
        assert not sys.stdin.read()
    print("{version}")
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="install.sh is for Linux")


def write_wheel(
    folder: Path, name: str, version: str, files: dict[str, bytes], needs: str = ""
) -> Path:
    about = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += f"Requires-Dist: {needs}\n" if needs else ""
    files = {
        **files,
        f"{about}/METADATA": metadata.encode(),
        f"{about}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{about}/entry_points.txt": b"[console_scripts]\nlocalagent = localagent:main\n",
    }
    rows = []
    for path, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        rows.append(f"{path},sha256={digest},{len(data)}\n")
    files[f"{about}/RECORD"] = "".join(rows).encode()
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    return wheel


def make_bundle(tmp_path: Path, version: str, needs: str = "") -> Path:
    """A bundle with localagent as a program of ten lines, pip, and a model of four bytes."""
    bundle = tmp_path / f"bundle-{version}"
    (bundle / "wheels").mkdir(parents=True)
    code = PROGRAM.format(version=version).encode()
    wheel = write_wheel(bundle / "wheels", "localagent", version, {"localagent.py": code}, needs)
    pip = metadata.distribution("pip")
    with zipfile.ZipFile(bundle / "wheels" / f"pip-{pip.version}-py3-none-any.whl", "w") as archive:
        for path in pip.files or ():
            if path.parts[0] == "pip" and path.suffix != ".pyc":
                archive.write(str(path.locate()), str(path))
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (bundle / "requirements.txt").write_text(f"localagent=={version} --hash=sha256:{digest}\n")
    (bundle / "models").mkdir()
    (bundle / "models/toy.gguf").write_bytes(b"GGUF")
    (bundle / "models/list.txt").write_text("model-id toy.gguf\n")
    shutil.copy(INSTALL, bundle)
    return bundle


def run(folder: Path, bundle: Path, *words: str, umask: int = -1, **env: str) -> str:
    variables = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder / "home"), **env}
    command = ["sh", str(bundle / "install.sh"), "--python", sys.executable, *words]
    done = subprocess.run(
        command, cwd=folder, env=variables, umask=umask, capture_output=True, text=True
    )
    assert (done.returncode == 0) == (not done.stderr), done.stderr
    return done.stdout + done.stderr


def installed(prefix: Path) -> str:
    return subprocess.run(
        [prefix / "bin/localagent"], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_upgrade_rollback_and_uninstall(tmp_path: Path) -> None:
    old, new = make_bundle(tmp_path, "1.0"), make_bundle(tmp_path, "2.0")
    prefix = tmp_path / "home/.local/opt/localagent"
    assert "there is no previous version" in run(tmp_path, old, "--rollback")
    assert "installed localagent 1.0-" in run(tmp_path, old)
    assert installed(prefix) == "1.0"
    assert (tmp_path / "model-id").read_bytes() == b"GGUF"
    assert "there is no previous version" in run(tmp_path, old, "--rollback")
    for _ in range(2):  # the second time changes nothing
        run(tmp_path, new, "--no-models")
        assert installed(prefix) == "2.0"
    for version in ("1.0", "2.0"):
        assert f"localagent is {version}-" in run(tmp_path, new, "--rollback")
        assert installed(prefix) == version
    assert "removed localagent" in run(tmp_path, new, "--uninstall")
    assert not prefix.exists()
    assert "is no installation" in run(tmp_path, new, "--uninstall")


def test_uninstall_leaves_the_files_of_others(tmp_path: Path) -> None:
    bundle, prefix = make_bundle(tmp_path, "1.0"), tmp_path / "home/.local"
    other = prefix / "bin/other"
    other.parent.mkdir(parents=True)
    other.write_text("of another program")
    run(tmp_path, bundle, "--prefix", str(prefix), "--no-models")
    assert installed(prefix) == "1.0"
    run(tmp_path, bundle, "--prefix", str(prefix), "--uninstall")
    assert [path for path in prefix.rglob("*") if path.is_file()] == [other]
    assert sorted(path.name for path in prefix.iterdir()) == ["bin"]


def test_a_changed_wheel_is_not_installed(tmp_path: Path) -> None:
    old, new = make_bundle(tmp_path, "1.0"), make_bundle(tmp_path, "2.0")
    prefix = tmp_path / "opt"
    run(tmp_path, old, "--prefix", str(prefix), "--no-models")
    write_wheel(new / "wheels", "localagent", "2.0", {"localagent.py": b"def main(): 0"})
    before = sorted(prefix.iterdir())
    assert "pip refused the packages; nothing was installed" in run(
        tmp_path, new, "--prefix", str(prefix)
    )
    assert sorted(prefix.iterdir()) == before
    assert installed(prefix) == "1.0"


def test_a_bundle_without_a_package_is_not_installed(tmp_path: Path) -> None:
    """A bundle may lack a package for one version of Python only."""
    old, new = make_bundle(tmp_path, "1.0"), make_bundle(tmp_path, "2.0", needs="absent>=1")
    prefix = tmp_path / "opt"
    run(tmp_path, old, "--prefix", str(prefix), "--no-models")
    before = sorted(prefix.iterdir())
    text = run(tmp_path, new, "--prefix", str(prefix))
    assert "localagent 2.0 requires absent, which is not installed" in text
    assert "pip refused the packages; nothing was installed" in text
    assert sorted(prefix.iterdir()) == before
    assert installed(prefix) == "1.0"


def test_all_users_can_run_what_root_installs(tmp_path: Path) -> None:
    """Hardened systems give root the umask 077."""
    bundle, prefix = make_bundle(tmp_path, "1.0"), tmp_path / "opt"
    tmp_path.chmod(0o755)
    run(tmp_path, bundle, "--prefix", str(prefix), "--no-models", umask=0o077)
    closed = [path for path in [prefix, *prefix.rglob("*")] if not path.stat().st_mode & 0o004]
    assert closed == []


def test_what_cannot_be_installed_is_said(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, "1.0")
    assert "usage: sh install.sh" in run(tmp_path, bundle, "--prefix")
    assert "usage: sh install.sh" in run(tmp_path, bundle, "--what")
    assert "HOME is not set" in run(tmp_path, bundle, HOME="")
    text = run(tmp_path, bundle, "--python", "false")
    assert "false does not start as Python 3.11, 3.12 or 3.13" in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle-1.0"]


def test_install_sh_alone_changes_nothing(tmp_path: Path) -> None:
    """A user may keep only install.sh of a bundle, for a rollback or to uninstall."""
    bundle, prefix = make_bundle(tmp_path, "1.0"), tmp_path / "opt"
    (tmp_path / "kept").mkdir()
    shutil.copy(INSTALL, tmp_path / "kept")
    options = ("--prefix", str(prefix))
    advice = (
        "kept is no unpacked bundle; unpack the archive and run its install.sh "
        "(or this one with --rollback or --uninstall)\n"
    )
    assert run(tmp_path, tmp_path / "kept", *options) == f"install: {tmp_path}/{advice}"
    assert not prefix.exists()
    run(tmp_path, bundle, *options, "--no-models")
    before = (prefix / ".localagent").read_text()
    assert run(tmp_path, tmp_path / "kept", *options).endswith(advice)
    assert (prefix / ".localagent").read_text() == before
    assert installed(prefix) == "1.0"
    assert "removed localagent" in run(tmp_path, tmp_path / "kept", *options, "--uninstall")


@pytest.mark.parametrize("below", ["", "opt/localagent"])
def test_a_prefix_that_forbids_programs_stays_as_it_is(tmp_path: Path, below: str) -> None:
    bundle, noexec = make_bundle(tmp_path, "1.0"), tmp_path / "noexec"
    noexec.mkdir()
    inside = 'mount -t tmpfs -o noexec,mode=755 none "$1" || exit 77; sh "$2" --prefix "$1/$3"'
    inside += ' --python "$4" --no-models; echo "rc $?"; find "$1" -mindepth 1'
    command = ["unshare", "-rm", "sh", "-c", inside, "sh", noexec]
    done = subprocess.run(
        [*command, bundle / "install.sh", below, sys.executable], capture_output=True, text=True
    )
    if done.returncode == 77 or done.stderr.startswith("unshare:"):
        pytest.skip("needs user namespaces")
    assert done.stderr == (
        f"install: {noexec}{'' if below else '/'} forbids programs (noexec); use --prefix FOLDER\n"
    )
    assert done.stdout == "rc 1\n"  # and nothing is left in the folder


def test_a_prefix_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, "1.0")
    assert run(tmp_path, bundle, "--prefix", "/proc/localagent") == (
        "install: /proc cannot be written; use --prefix FOLDER\n"
    )

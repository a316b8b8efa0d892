"""verify.sh with the system's own tools: what it lets through, and what it names."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
VERIFY = ROOT / "scripts/bundlelib/site/verify.sh"
FILES = {"toy-1/a.sh": b"a", "toy-1/wheels/b.whl": b"b" * 5000, "toy-1/z": b""}

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A signed bundle, its key, and another key."""
    for name in ("site", "other"):
        key = ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        subprocess.run([*key, "-out", tmp_path / f"{name}.key"], check=True, capture_output=True)
        public = ["openssl", "pkey", "-in", tmp_path / f"{name}.key", "-pubout"]
        subprocess.run([*public, "-out", tmp_path / f"{name}.pub"], check=True)
    write(tmp_path, FILES)
    rows = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in FILES.items()]
    whole = hashlib.sha256((tmp_path / "b.tar").read_bytes()).hexdigest()
    sign(tmp_path, "".join([*rows, f"{whole}  b.tar\n"]))
    return tmp_path


def write(folder: Path, files: dict[str, bytes], link: str = "", uid: int = 0) -> None:
    with tarfile.open(folder / "b.tar", "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.uid = len(data), uid
            archive.addfile(info, io.BytesIO(data))
        if link:
            info = tarfile.TarInfo(link)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc"
            archive.addfile(info)


def sign(folder: Path, manifest: str) -> None:
    (folder / "b.tar.manifest").write_text(manifest)
    command = ["openssl", "dgst", "-sha256", "-sign", folder / "site.key"]
    command += ["-out", folder / "b.tar.manifest.sig", folder / "b.tar.manifest"]
    subprocess.run(command, check=True)


def verify(folder: Path, key: str = "site.pub") -> str:
    done = subprocess.run(
        ["sh", VERIFY, "b.tar", key], cwd=folder, capture_output=True, text=True, env=os.environ
    )
    assert (done.returncode == 0) == done.stdout.startswith("verified: ")
    assert sorted(os.listdir(folder)) == sorted({*os.listdir(folder)} - {"toy-1"})
    return done.stdout + done.stderr


def test_verify_names_the_first_wrong_file(folder: Path) -> None:
    assert verify(folder).startswith("verified: ")
    assert "not by this key" in verify(folder, "other.pub")
    for name in FILES:
        write(folder, FILES | {name: b"x"})
        assert f"changed or added: {name};" in verify(folder)
    write(folder, FILES | {"toy-1/more": b"x"})
    assert "changed or added: toy-1/more;" in verify(folder)
    write(folder, {name: data for name, data in FILES.items() if not name.endswith(".whl")})
    assert "changed or missing: toy-1/wheels/b.whl;" in verify(folder)
    write(folder, FILES, link="toy-1/link")
    assert "no ordinary files" in verify(folder)
    write(folder, FILES)
    text = (folder / "b.tar.manifest").read_text()
    (folder / "b.tar.manifest").write_text(text.partition("\n")[2])  # leaves a file out
    assert "not by this key" in verify(folder)
    sign(folder, text.partition("\n")[2])
    assert "changed or added: toy-1/a.sh;" in verify(folder)
    sign(folder, "".join(text.splitlines(keepends=True)[:-1]))  # leaves the archive out
    assert "changed or added: toy-1/z;" in verify(folder)
    (folder / "b.tar.manifest.sig").unlink()
    assert "there is no signature" in verify(folder)


def test_names_owners_and_lengths_count(folder: Path) -> None:
    """A root that unpacks an archive gives the files to the owners that the archive names."""
    write(folder, FILES, uid=1000)
    assert "changed: b.tar, outside of its files' contents" in verify(folder)
    *_, last = FILES
    row = f"{hashlib.sha256(FILES[last]).hexdigest()}  {last}"
    kept = {name: data for name, data in FILES.items() if name != last}
    write(
        folder, {f"{name}\n{row}" if name == list(kept)[-1] else name: kept[name] for name in kept}
    )
    assert "outside of its files' contents" in verify(folder)  # a name of two lines hides a loss
    write(folder, FILES)
    assert verify(folder).startswith("verified: ")
    whole = (folder / "b.tar").read_bytes()
    (folder / "b.tar").write_bytes(whole + bytes(512))
    assert "outside of its files' contents" in verify(folder)
    (folder / "b.tar").write_bytes(whole[: whole.index(b"b" * 5000)])
    assert "changed or" in verify(folder)

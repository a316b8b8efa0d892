"""verify.sh with the system's own tools: what it lets through, and what it names."""

from __future__ import annotations

import hashlib
import importlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]
VERIFY = ROOT / "scripts/bundlelib/site/verify.sh"
FILES = {"toy-1/a.sh": b"a", "toy-1/wheels/b.whl": b"b" * 5000, "toy-1/z": b""}

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")


Bundlelib = Callable[[str], ModuleType]


@pytest.fixture
def bundlelib(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bundlelib]:
    """Imports a module of the scripts, whose names must not stay importable."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    before = set(sys.modules)
    yield lambda name: importlib.import_module(f"bundlelib.{name}")
    for name in set(sys.modules) - before:
        if name.startswith(("bundlelib", "setuplib")):
            del sys.modules[name]


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
    assert "no ordinary file: l" in (found := verify(folder)) and "toy-1/link" in found
    write(folder, FILES)
    whole = (folder / "b.tar").read_bytes()
    (folder / "b.tar").write_bytes(whole[: len(whole) // 2])
    assert verify(folder).startswith("verify: changed or ")
    (folder / "b.tar").write_bytes(whole)
    text = (folder / "b.tar.manifest").read_text()
    (folder / "b.tar.manifest").write_text(text.partition("\n")[2])  # leaves a file out
    assert "not by this key" in verify(folder)
    sign(folder, text.partition("\n")[2])
    assert "changed or added: toy-1/a.sh;" in verify(folder)
    sign(folder, "".join(text.splitlines(keepends=True)[:-1]))  # leaves the archive out
    assert "changed or added: toy-1/z;" in verify(folder)
    (folder / "b.tar.manifest.sig").unlink()
    assert "there is no signature" in verify(folder)


SIGNERS = {
    "openssl": (
        "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out KEY",
        "openssl pkey -in KEY -pubout -out KEY.pub",
        "openssl",
    ),
    "minisign": ("minisign -G -W -s KEY -p KEY.pub", "true", "minisign"),
    "gpg": (
        "gpg --batch --passphrase '' --quick-generate-key KEY ed25519 sign never",
        "gpg --batch --output KEY.pub --export KEY",
        "gpgv",
    ),
}


@pytest.mark.parametrize("tool", SIGNERS)
def test_a_signed_archive_verifies_by_the_tools_of_others(
    tool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundlelib: Bundlelib
) -> None:
    """The whole path of a bundle with a small model: archive, manifest, signature, refusal."""
    *commands, checker = SIGNERS[tool]
    if not shutil.which(tool) or not shutil.which(checker):
        pytest.skip(f"needs {tool}")
    (tmp_path / "gnupg").mkdir(mode=0o700)
    monkeypatch.setenv("GNUPGHOME", str(tmp_path / "gnupg"))
    monkeypatch.chdir(tmp_path)
    for name in ("site", "other"):
        for command in commands:
            words = [word.strip("'") for word in command.replace("KEY", name).split(" ")]
            subprocess.run(words, check=True, capture_output=True)
    tree = tmp_path / "tree"
    (tree / "models").mkdir(parents=True)
    (tree / "models/toy.gguf").write_bytes(b"GGUF" * 100_000)
    (tree / "install.sh").write_text("exit 1")
    archive, signature = bundlelib("archive"), bundlelib("signature")
    manifest = archive.manifest_of(archive.write(tree, tmp_path / "b.tar", 1_700_000_000))
    made = signature.sign(tool, "site", manifest)
    assert verify(tmp_path).startswith("verified: ")
    for path in (manifest, made):
        whole = path.read_bytes()
        place = len(whole) // 2  # within the base64 text of armored signatures
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert "b.tar.manifest is not by this key" in verify(tmp_path)
        path.write_bytes(whole)
    assert "b.tar.manifest is not by this key" in verify(tmp_path, "other.pub")
    whole = (tmp_path / "b.tar").read_bytes()
    (tmp_path / "b.tar").write_bytes(whole.replace(b"GGUFGGUF", b"GGUFGGUf", 1))
    assert "changed or added: b/models/toy.gguf;" in verify(tmp_path)
    (tmp_path / "b.tar").write_bytes(whole)
    signature.discard(manifest)
    assert "there is no signature beside b.tar.manifest" in verify(tmp_path)
    if tool == "gpg":
        subprocess.run(["gpgconf", "--kill", "all"], check=True)


def test_a_missing_tool_is_not_called_a_wrong_key(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path_factory.mktemp("bin")
    for name in ("sh", "ls", "grep"):
        found = shutil.which(name)
        assert found
        (programs / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(programs))
    assert "needs openssl, which is not installed" in verify(folder)
    (folder / "b.tar.manifest.sig").rename(folder / "b.tar.manifest.asc")
    assert "needs gpgv, which is not installed" in verify(folder)


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


def run_verify(folder: Path, *words: str, **env: str) -> str:
    done = subprocess.run(
        ["sh", VERIFY, *words], cwd=folder, capture_output=True, text=True, env=os.environ | env
    )
    assert (done.returncode == 0) == done.stdout.startswith("verified: ")
    return done.stdout + done.stderr


def test_verify_writes_no_file(folder: Path) -> None:
    """TMPDIR may be full."""
    text = run_verify(folder, "b.tar", "site.pub", TMPDIR=str(folder / "absent"))
    assert text == "verified: every file of b.tar is as signed\n"


def test_verify_names_the_arguments_that_it_needs(folder: Path) -> None:
    usage = "usage: sh verify.sh BUNDLE PUBLIC_KEY (BUNDLE: a .tar, .deb or .rpm)\n"
    one = "verify: name one bundle and one public key"
    assert run_verify(folder, "b.tar", "c.tar", "site.pub") == f"{one}, not 3 files\n{usage}"
    assert run_verify(folder, "b.tar") == f"{one}, not 1 files\n{usage}"


@pytest.mark.parametrize("kind", ["deb", "rpm"])
def test_a_package_is_verified_before_its_scripts_run(
    kind: str, folder: Path, bundlelib: Bundlelib
) -> None:
    package = folder / f"toy_1.{kind}"
    package.write_bytes(b"!<arch>\n" * 100)
    manifest = bundlelib("archive").list_package(package)
    name = package.name
    assert "there is no signature beside" in run_verify(folder, name, "site.pub")
    bundlelib("signature").sign("openssl", str(folder / "site.key"), manifest)
    assert run_verify(folder, name, "site.pub") == f"verified: {name} is as signed\n"
    assert "is not by this key" in run_verify(folder, name, "other.pub")
    package.write_bytes(b"!<arch>\n" * 101)
    assert f"changed: {name}" in run_verify(folder, name, "site.pub")
    # Neither the signature of the archive nor a signed row of another name covers a package.
    for ending in ("manifest", "manifest.sig"):
        shutil.copy(folder / f"b.tar.{ending}", folder / f"{name}.{ending}")
    shutil.copy(folder / "b.tar", package)
    assert f"changed: {name}" in run_verify(folder, name, "site.pub")

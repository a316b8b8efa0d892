"""The archive and its manifest: the same files give the same bytes."""

from __future__ import annotations

import tarfile
from pathlib import Path

from bundlelib.wheels import sha256


def write(tree: Path, target: Path, epoch: int) -> Path:
    """Write all files below `tree` into `target`, and the manifest beside it.

    The manifest has the rows of sha256sum: of each file, sorted by path, and last of the archive.
    The archive has regular files only.
    """
    top = target.name.removesuffix(".tar")
    files = sorted(path for path in tree.rglob("*") if path.is_file())
    rows = []
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as archive:
        for path in files:
            name = f"{top}/{path.relative_to(tree).as_posix()}"
            info = tarfile.TarInfo(name)
            info.size, info.mtime = path.stat().st_size, epoch
            info.mode = 0o755 if path.suffix == ".sh" else 0o644
            info.uname = info.gname = "root"
            with path.open("rb") as stream:
                archive.addfile(info, stream)
            rows.append(f"{sha256(path)}  {name}\n")
    # In the order of the bytes, as `LC_ALL=C sort` gives it.
    rows.sort(key=lambda row: row[66:].encode())
    rows.append(f"{sha256(target)}  {target.name}\n")
    manifest_of(target).write_text("".join(rows), encoding="utf-8")
    return target


def list_package(package: Path) -> Path:
    """Write the manifest of a deb or rpm package, which has one row, and return its path."""
    made = manifest_of(package)
    made.write_text(f"{sha256(package)}  {package.name}\n", encoding="utf-8")
    return made


def manifest_of(bundle: Path) -> Path:
    """The path of the manifest of an archive or a package."""
    return bundle.with_name(f"{bundle.name}.manifest")

"""Signatures of the manifest, by the tool and the key that a site chooses."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from setuplib.console import SetupError

TOOLS = {
    "openssl": ".sig",
    "minisign": ".minisig",
    "gpg": ".asc",
}
"""Each tool, and the ending of its signatures."""


def ensure(tool: str, key: str) -> None:
    """Raise SetupError where the tool or the file of the key is missing."""
    if shutil.which(tool) is None:
        raise SetupError(f"{tool} is not in PATH", f"install it, or use: {', '.join(TOOLS)}")
    if tool != "gpg" and not Path(key).is_file():
        raise SetupError(f"there is no key {key}", "see air-gap.md: make a key of your site")


def discard(manifest: Path) -> None:
    """Remove the signatures of an earlier bundle of the same name."""
    for ending in TOOLS.values():
        manifest.with_name(manifest.name + ending).unlink(missing_ok=True)


def sign(tool: str, key: str, manifest: Path) -> Path:
    """Sign the manifest, and return the signature's path. Raises SetupError.

    The tool may ask for the key's password, so it has the terminal.
    """
    made = manifest.with_name(manifest.name + TOOLS[tool])
    done = subprocess.run(_command(tool, key, manifest, made))
    if done.returncode or not made.exists():
        raise SetupError(f"{tool} could not sign {manifest.name}", "check --key")
    return made


def _command(tool: str, key: str, manifest: Path, made: Path) -> list[str]:
    file, out = str(manifest), str(made)
    return {
        "openssl": ["openssl", "dgst", "-sha256", "-sign", key, "-out", out, file],
        "minisign": ["minisign", "-S", "-s", key, "-m", file, "-x", out],
        "gpg": [
            *("gpg", "--batch", "--yes", "--local-user", key, "--output", out),
            *("--armor", "--detach-sign", file),
        ],
    }[tool]

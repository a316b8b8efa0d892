"""Signatures of the manifest, by the tool and the key that a site chooses."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from setuplib.console import SetupError

TOOLS = {
    "openssl": ".sig",
    "minisign": ".minisig",
    "cosign": ".cosign",
    "gpg": ".asc",
}
"""Each tool, and the ending of its signatures."""


def ensure_tool(tool: str) -> None:
    """Raise SetupError where the tool is missing."""
    if shutil.which(tool) is None:
        raise SetupError(f"{tool} is not in PATH", f"install it, or use: {', '.join(TOOLS)}")


def sign(tool: str, key: str, manifest: Path) -> Path:
    """Sign the manifest, and return the signature's path. Raises SetupError."""
    made = manifest.with_name(manifest.name + TOOLS[tool])
    made.unlink(missing_ok=True)
    done = subprocess.run(_command(tool, key, manifest, made), stderr=subprocess.PIPE, text=True)
    if done.returncode or not made.exists():
        reason = done.stderr.strip().rpartition("\n")[2]
        raise SetupError(f"{tool} could not sign {manifest.name}: {reason}", "check --key")
    return made


def _command(tool: str, key: str, manifest: Path, made: Path) -> list[str]:
    file, out = str(manifest), str(made)
    return {
        "openssl": ["openssl", "dgst", "-sha256", "-sign", key, "-out", out, file],
        "minisign": ["minisign", "-S", "-s", key, "-m", file, "-x", out],
        "cosign": [
            *("cosign", "sign-blob", "--yes", "--key", key, "--tlog-upload=false"),
            *("--output-signature", out, file),
        ],
        "gpg": [
            *("gpg", "--batch", "--yes", "--local-user", key, "--output", out),
            *("--armor", "--detach-sign", file),
        ],
    }[tool]

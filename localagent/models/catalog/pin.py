"""What the lock pins of a model beside its bytes, and what to say where something differs.

A file's sha256 covers its chat template; the template's own hash tells a person which of the two
changed, and is what is compared where a server keeps the file.
"""

from __future__ import annotations

from pathlib import Path

from localagent.core.errors import ModelFileError
from localagent.models import gguf
from localagent.models.catalog.lock import Entry


def check_template(entry: Entry, path: Path, hint: str) -> None:
    """Raises ModelFileError where the lock pins another chat template than the file's. An entry
    without its hash (models.lock of an older localagent) pins it by the file's hash alone."""
    if not entry.chat_template_sha256:
        return
    found = _template(path)
    if found is None:
        raise ModelFileError(f"{path} is not a GGUF file that can be read", hint)
    if found != entry.chat_template_sha256:
        raise ModelFileError(
            f"{path} is the pinned file, but models.lock pins another chat template for "
            f"{entry.id}: the file's sha256 is {found or 'none'}, not {entry.chat_template_sha256}",
            f"somebody changed chat_template_sha256 in models.lock; {hint}",
        )


def altered(entry: Entry, path: Path, digest: str, hint: str) -> ModelFileError:
    """The error for a file with the hash `digest`, which is not the pinned one."""
    return ModelFileError(
        f"{path} is not what models.lock pins: its sha256 is {digest}, not {entry.sha256}; "
        + _changed(entry, path),
        hint,
    )


def resized(entry: Entry, path: Path, size: int, hint: str) -> ModelFileError:
    """The error for a file of `size` bytes, which are not the pinned ones."""
    return ModelFileError(
        f"{path} has {size:,} bytes; models.lock pins {entry.bytes:,}; {_changed(entry, path)}",
        hint,
    )


def _changed(entry: Entry, path: Path) -> str:
    """What of a file that is not the pinned one is another."""
    found, pinned = _template(path), entry.chat_template_sha256
    if found is None:
        return "it is no GGUF file that can be read"
    if not pinned:
        return f"its chat template's sha256 is {found or 'none'}, and none is pinned"
    if found == pinned:
        return "its chat template is the pinned one, so its weights or other metadata are not"
    return f"its chat template was changed: its sha256 is {found or 'none'}, not {pinned}"


def _template(path: Path) -> str | None:
    try:
        return gguf.template_sha256(path)
    except (gguf.GgufError, OSError):
        return None

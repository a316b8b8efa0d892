"""Replace a file as a whole: a reader gets the old content or the new content, never a part."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

PRIVATE = 0o600
"""The permission bits of localagent's own files: only their owner reads and writes them."""


@contextmanager
def replacing(path: Path, *, mode: int | None = PRIVATE, sync: bool = False) -> Iterator[BinaryIO]:
    """Open a new file that replaces `path` when the block ends.

    If the block raises, `path` stays unchanged and the new file is removed. `mode` is the
    permission bits; None means those of the umask. With `sync` the new content is on the disk
    before the file replaces `path`. Raises OSError.
    """
    temporary = path.with_name(f".{path.name}.localagent-{secrets.token_hex(4)}.tmp")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        descriptor = os.open(temporary, flags, 0o666 if mode is None else mode)
        with os.fdopen(descriptor, "wb") as file:
            yield file
            if sync:
                file.flush()
                os.fsync(file.fileno())
        if mode is not None:
            temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):  # on a read-only disk, the first error says more
            temporary.unlink(missing_ok=True)
        raise


def write_atomic(path: Path, text: str, *, mode: int | None = PRIVATE, sync: bool = False) -> None:
    """Write `text` as UTF-8, without translating line ends; see `replacing`. Raises OSError."""
    with replacing(path, mode=mode, sync=sync) as file:
        file.write(text.encode())

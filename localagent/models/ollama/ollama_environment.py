"""The environment without what the `ollama` package and its HTTP library would take from it.

The package makes a client of its own when it is imported, from OLLAMA_HOST, proxies and files of
certificates; a value that it cannot read ends the import. None of it is for localagent.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_NAMES = ("OLLAMA_HOST", "OLLAMA_API_KEY", "SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


@contextmanager
def untouched() -> Iterator[None]:
    """Take these variables away, and put them back afterwards."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _NAMES or name.lower().endswith("_proxy")
    }
    for name in kept:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(kept)

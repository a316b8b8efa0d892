"""TLS to a model server on another machine: certificates are always checked.

The egress proxy speaks TLS itself, so that the request filter can read the requests.
"""

from __future__ import annotations

import socket
import ssl
import threading

_CHUNK = 64 << 10


def tls_context(ca: str = "") -> ssl.SSLContext:
    """Return a context that trusts the certificates in the file `ca`, or the system's.

    Raises OSError for an unreadable file, ssl.SSLError for one without certificates.
    """
    context = ssl.create_default_context(cafile=ca or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class TlsSocket:
    """A TLS connection over `raw`, for one thread that reads and one that writes.

    `ssl.SSLSocket` does not allow that in Python 3.11. Raises OSError as a socket does.
    """

    def __init__(self, raw: socket.socket, context: ssl.SSLContext, host: str) -> None:
        self._raw = raw
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=host)
        self._lock = threading.Lock()
        while not self._step():
            if not self._receive():
                raise ConnectionResetError("the server ended the TLS handshake")

    def recv(self, size: int) -> bytes:
        """Return up to `size` bytes; b"" at the end."""
        while True:
            with self._lock:
                try:
                    data = self._tls.read(size)
                except ssl.SSLWantReadError:
                    data = None
                except ssl.SSLZeroReturnError:
                    return b""
                self._flush()
            if data is not None:
                return data
            if not self._receive():
                return b""

    def sendall(self, data: bytes) -> None:
        """Send all bytes."""
        with self._lock:
            self._tls.write(data)
            self._flush()

    def shutdown(self, how: int) -> None:
        """End the connection in one direction, or in both."""
        self._raw.shutdown(how)

    def _step(self) -> bool:
        """Continue the handshake; return True when it is complete."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self._flush()
        return True

    def _receive(self) -> bool:
        """Read bytes from the connection; return False at its end."""
        data = self._raw.recv(_CHUNK)
        if data:
            with self._lock:
                self._in.write(data)
        return bool(data)

    def _flush(self) -> None:
        if self._out.pending:
            self._raw.sendall(self._out.read())

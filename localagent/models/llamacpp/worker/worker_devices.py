"""The graphics processors that the native library found, asked of ggml itself.

llama-cpp-python binds none of these functions; they are in the ggml libraries beside it
(ggml-backend.h, the part on devices).
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

from localagent.models.llamacpp import protocol

_NAMES = {"darwin": "libggml.dylib", "win32": "ggml.dll"}
_KINDS = {1: False, 2: True}
"""`enum ggml_backend_dev_type`: a GPU with memory of its own, and one that shares the machine's."""


def devices(folder: Path) -> tuple[protocol.Device, ...]:
    """Those that the library in `folder` can use; none where it is too old to be asked."""
    try:
        ggml = ctypes.CDLL(str(folder / _NAMES.get(sys.platform, "libggml.so")))
        return _listed(ggml)
    except (OSError, AttributeError):
        return ()


def _listed(ggml: ctypes.CDLL) -> tuple[protocol.Device, ...]:
    ggml.ggml_backend_dev_count.restype = ctypes.c_size_t
    ggml.ggml_backend_dev_get.restype = ctypes.c_void_p
    ggml.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
    ggml.ggml_backend_dev_type.argtypes = [ctypes.c_void_p]
    ggml.ggml_backend_dev_memory.restype = None
    ggml.ggml_backend_dev_memory.argtypes = [
        ctypes.c_void_p,
        ctypes.POINTER(ctypes.c_size_t),
        ctypes.POINTER(ctypes.c_size_t),
    ]
    for function in (ggml.ggml_backend_dev_name, ggml.ggml_backend_dev_description):
        function.restype = ctypes.c_char_p
        function.argtypes = [ctypes.c_void_p]
    kind = ggml.ggml_backend_dev_type
    found = [ggml.ggml_backend_dev_get(n) for n in range(ggml.ggml_backend_dev_count())]
    return tuple(_device(ggml, device) for device in found if kind(device) in _KINDS)


def _device(ggml: ctypes.CDLL, pointer: int) -> protocol.Device:
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    ggml.ggml_backend_dev_memory(pointer, ctypes.byref(free), ctypes.byref(total))
    name: bytes = ggml.ggml_backend_dev_name(pointer) or b""
    words: bytes = ggml.ggml_backend_dev_description(pointer) or name
    # Metal calls its GPU one of the first kind, though its memory is the machine's.
    unified = _KINDS[ggml.ggml_backend_dev_type(pointer)] or name.startswith((b"Metal", b"MTL"))
    return protocol.Device(
        name=words.decode("utf-8", "replace"),
        free=free.value,
        total=total.value,
        unified=unified,
    )

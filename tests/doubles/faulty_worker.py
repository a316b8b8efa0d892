"""A worker that fails as it is told: `faulty_worker.py FOLDER FAULT [STARTS]`.

It is the real worker around a toy model, but for the fault. The fault shows in the first STARTS
starts (default 1), which are counted in FOLDER/starts; later ones are sound.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from toy_llm import ToyLlm

from localagent.models.base import Text
from localagent.models.llamacpp import protocol
from localagent.models.llamacpp.hardware import Gpu
from localagent.models.llamacpp.worker import serve
from localagent.models.llamacpp.worker.interface import BatchRow, Outcome, RequestFailed

FOLDER, FAULT = Path(sys.argv[1]), sys.argv[2]


def starts() -> int:
    """How many workers were started here, this one included."""
    with (FOLDER / "starts").open("a") as file:
        file.write(f"{os.getpid()}\n")
    return len((FOLDER / "starts").read_text().splitlines())


FAULTY = starts() <= int((sys.argv[3:] or ["1"])[0])


def strike(place: str) -> None:
    """Fail, if that is what shall happen at this place."""
    kind, _, where = FAULT.partition("@")
    if not FAULTY or where != place:
        return
    (FOLDER / "struck").touch()
    if kind == "hang":
        threading.Event().wait()
    elif kind == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif kind == "exit":
        print("the last words", file=sys.stderr, flush=True)
        os._exit(3)
    elif kind == "noise":
        for _ in range(200):
            os.write(2, b"noise " * 5000)
        print("the last words", file=sys.stderr, flush=True)
        os._exit(3)
    else:
        os.kill(os.getpid(), getattr(signal, kind))


class FaultyLlm(ToyLlm):
    def __init__(self, extra_bufts: bool) -> None:
        super().__init__(b"hello world", endless=FAULT == "endless")
        self._delicate = FAULT == "needs-safe" and extra_bufts

    def decode(self, rows: Sequence[BatchRow], interrupted: Callable[[], bool] | None) -> Outcome:
        if self._delicate:
            os.kill(os.getpid(), signal.SIGSEGV)
        reading = interrupted is not None
        if reading:
            strike("read")
        elif self.samplers[-1].written:
            strike("write")
        if interrupted is not None and FAULTY and FAULT == "crawl":
            while not interrupted():
                threading.Event().wait(0.01)
            return "stopped"
        return super().decode(rows, interrupted)


class FaultyNative:
    version = "toy"
    gpus: tuple[Gpu, ...] = ()

    def load(
        self,
        request: protocol.Load,
        progress: Callable[[float], None],
        cancelled: Callable[[], bool],
    ) -> FaultyLlm:
        (FOLDER / "extra_bufts").write_text(str(request.extra_bufts))
        progress(0.5)
        strike("load")
        if FAULTY and FAULT == "slow-load":
            while not cancelled():
                threading.Event().wait(0.01)
            raise RequestFailed("cancelled", "cancelled")
        if FAULTY and FAULT == "refuse-load":
            raise RequestFailed("load", "the toy is broken", "mend it")
        model = FaultyLlm(request.extra_bufts)
        model.facts = model.facts.model_copy(update={"id": request.id})
        return model


def is_text(reply: protocol.Reply) -> bool:
    return isinstance(reply, protocol.ChunkReply) and isinstance(reply.chunk, Text)


def frames(write: Callable[[BinaryIO, protocol.Reply], None]) -> Callable[..., None]:
    """`write`, but for what FAULT makes of the frame of a text."""

    def faulty(stream: BinaryIO, reply: protocol.Reply) -> None:
        frame = protocol.encode(reply)
        if FAULTY and is_text(reply):
            if FAULT == "broken-frame":
                frame = frame[:4] + b"\xff" * (len(frame) - 4)
            elif FAULT == "long-frame":
                frame = b"\xff\xff\xff\xff" + frame
            elif FAULT == "cut-frame":
                frame = frame[:-1]
            elif FAULT == "wrong-id":
                frame = protocol.encode(reply.model_copy(update={"id": 999}))
            elif FAULT == "flood":
                while True:
                    write(stream, reply)
        stream.write(frame)
        stream.flush()
        if FAULTY and is_text(reply) and FAULT == "cut-frame":
            os._exit(0)

    return faulty


def native() -> FaultyNative:
    if FAULTY and FAULT == "no-library":
        raise ImportError("no toy here")
    return FaultyNative()


if __name__ == "__main__":
    serve._write = frames(serve._write)
    serve.serve(native)

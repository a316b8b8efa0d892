"""Sessions with a model of random weights, and fresh contexts to compare them with."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from toy_runs import Run, run_of

from localagent.models.llamacpp import protocol
from localagent.models.llamacpp.worker.generate import Generator
from localagent.models.llamacpp.worker.kv_files import KvFiles

SAME = 0.02
"""The most distance of two contexts that have read the same."""

LETTERS = "root ::= [a-z]{4}"


class Model:
    """A model with a generator, and fresh ones of the same file to compare with."""

    def __init__(self, library: Any, path: Path, files: KvFiles | None = None, **load: Any) -> None:
        self.library, self.path, self.load = library, path, load
        load = {"window": 2048, "batch": 64, "parallel": 4, "threads": 1, **load}
        request = protocol.Load(path=os.fsencode(path), **load)
        self.llm = library.load(request, lambda done: None, lambda: False)
        self.generator = Generator(self.llm, files)

    def ask(self, *chats: Any, reply_start: str = "", **values: Any) -> Run:
        values = {"max_tokens": 4, "grammar": LETTERS, "continues": True, **values}
        requests = [run_of(chat, reply_start=reply_start, **values) for chat in chats]
        return Run(self.generator, protocol.Generate(id=1, requests=tuple(requests)))

    def distance(self, chat: Any, reply: str, **load: Any) -> float:
        """How much a fresh context differs on the last letter of the latest reply, 0 to 2.

        `load` changes how that context is loaded. Another prompt gives 0.1 to 1.2, the order of
        additions up to 0.005.
        """
        ours = dict(self.llm.likeliest(0, 300))
        fresh = Model(self.library, self.path, **{**self.load, **load})
        fresh.ask(chat, reply_start=reply[:-1], max_tokens=1, grammar="root ::= [a-z]")
        theirs = dict(fresh.llm.likeliest(0, 300))
        fresh.llm.close()
        return sum(abs(ours.get(t, 0) - theirs.get(t, 0)) for t in {*ours, *theirs})

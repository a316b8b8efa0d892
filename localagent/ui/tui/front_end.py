"""Carries out questions and UI requests of the agent thread in the terminal's thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, TypeVar

from prompt_toolkit.application import in_terminal

from localagent.core.errors import LocalAgentError
from localagent.core.events import Question
from localagent.ui.chat.interface import Answer, Output, UIRequest
from localagent.ui.tui.dialogs import Picker, QuestionBox
from localagent.ui.tui.keys import key_rows
from localagent.ui.view.editor import open_editor
from localagent.ui.view.theme import NAMES

if TYPE_CHECKING:
    from localagent.ui.tui.app import Tui

_T = TypeVar("_T")


class TuiFrontEnd:
    """Implements `agent_thread.FrontEnd` for a terminal."""

    def __init__(self, tui: Tui) -> None:
        self._tui = tui
        self._open_reply: Future[Answer | None] | Future[str | None] | None = None

    # The agent thread calls the following methods.

    def opened(self) -> None:
        """Note that the session is open."""
        self._tui.post(self._tui.app.invalidate)

    def changed(self) -> None:
        """Note that the agent began or finished a line."""
        self._tui.post(self._tui.refresh)

    def failed(self, error: BaseException) -> None:
        """Leave the session; `Tui.run` raises `error` after it restores the terminal."""
        self._tui.failure = error
        self._tui.post(lambda: self._tui.leave(1))

    def ask(self, question: Question, remembered: tuple[str, ...]) -> Answer | None:
        """Ask the user and wait; return None if the user cancels or leaves."""
        reply: Future[Answer | None] = Future()

        def begin() -> None:
            self._tui.flush()
            self._tui.dialogs.open_question(QuestionBox(question, remembered, reply))
            self._tui.app.invalidate()

        self._open_reply = reply
        return reply.result() if self._tui.post(begin) else None

    def resolve(self, request: UIRequest) -> str | None:
        """Carry out a UI request, wait, and return its result."""
        reply: Future[str | None] = Future()
        self._open_reply = reply
        return reply.result() if self._tui.post(lambda: self._begin(request, reply)) else None

    # The terminal's thread calls the following methods.

    def release(self) -> None:
        """Let the agent thread continue without an answer, because the terminal is gone."""
        if self._open_reply is not None and not self._open_reply.done():
            self._open_reply.set_result(None)

    def _begin(self, request: UIRequest, reply: Future[str | None]) -> None:
        tui = self._tui
        match request.kind:
            case "quit":
                tui.leave(0)
            case "clear":
                tui.app.renderer.clear()
            case "theme":
                self._choose_theme(request.text.strip())
            case "keys":
                tui.draw(Output("table", rows=key_rows(tui.keys.table)))
            case "draft":
                tui.line.insert(request.text)
            case "edit":
                tui.app.create_background_task(self._edit(request.text, reply))
            case "pick":
                tui.flush()
                tui.dialogs.open_picker(Picker(request, reply, request.default))
        if request.kind not in ("edit", "pick"):
            reply.set_result(None)
        tui.app.invalidate()

    def _choose_theme(self, name: str) -> None:
        if name in NAMES:
            self._tui.set_theme(name)
            text = f"theme {name}; to keep it: localagent config set theme {name}"
        else:
            text = f"unknown theme {name!r}; themes: {', '.join(NAMES)}"
        self._tui.draw(Output("note", text))

    async def _edit(self, text: str, reply: Future[str | None]) -> None:
        after = await self.edit(text)
        if not reply.done():
            reply.set_result(after)

    async def edit(self, text: str) -> str | None:
        """Let the user edit `text` in an editor; return None if the editor fails."""
        after = await self._lend_terminal(lambda: open_editor(text))
        return None if after is None else after.removesuffix("\n")

    async def _lend_terminal(self, work: Callable[[], _T]) -> _T | None:
        """Call `work` in a thread; until `work` returns, the session leaves the terminal alone."""
        tui = self._tui
        tui.flush()
        tui.lent = True
        try:
            async with in_terminal():
                return await asyncio.get_running_loop().run_in_executor(None, work)
        except LocalAgentError as error:
            tui.draw(Output("error", error.message, hint=error.hint))
            return None
        finally:
            tui.lent = False
            tui.flush()

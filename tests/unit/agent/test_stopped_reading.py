"""The cost of a request that is stopped while the model reads its prompt: what was really read."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path

from localagent.agent.model_calls import ask
from localagent.core.errors import Interrupted
from localagent.core.events import Event, ModelReplied
from localagent.core.messages import Message
from localagent.models.base import Chunk, Finish, Reading, Request, Usage
from localagent.models.scripted import ScriptedModel
from tests.doubles.scripted_turn import scripted_turn


class Stopped(ScriptedModel):
    """A model that is stopped after 338 of 2,900 tokens."""

    def generate_all(
        self, _requests: Sequence[Request]
    ) -> Generator[tuple[int, Chunk], None, None]:
        yield 0, Reading(338, 2900, 73)
        yield 0, Finish("cancelled", Usage(2900, 73))


def test_only_the_tokens_that_were_read_are_counted(tmp_path: Path) -> None:
    turn = scripted_turn(tmp_path)
    events: list[Event] = []
    try:
        for event in ask(turn, "answer", Request((Message("user", "x"),)), Stopped([])):
            events.append(event)
    except Interrupted:
        pass
    (replied,) = [event for event in events if isinstance(event, ModelReplied)]
    assert (replied.prompt_tokens, replied.reused_tokens) == (338, 73)
    assert turn.ledger.usage.prompt_tokens == 338

"""The sequences of the KV cache: the tokens that each holds, and which one a new prompt replaces.

A prompt continues the sequence that shares its longest beginning. It takes the sequence itself if
that loses nothing, otherwise a copy of the common part, which shares the cells and costs nothing.
So an infill between two questions of a conversation leaves the conversation's cells alone.

A model that does not rewind can go back only to checkpoints of its state, which a slot holds beside
its tokens. Slots whose tokens were copied share them.

GreedyDual (N. Young, 1994) chooses the sequence to drop: each is worth the tokens to read again,
and ages by the worth of those that were dropped before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from localagent.models.llamacpp.memory_plan import CHECKPOINTS
from localagent.models.llamacpp.worker.interface import Llm
from localagent.models.llamacpp.worker.kv_files import KvFiles, Stored
from localagent.models.llamacpp.worker.prompt_cache import Memory, common_prefix, remember

# So few tokens of a sequence are dropped instead of copied: reading them again is cheap.
_LITTLE = 16
_SLOT_STATES = 3  # of one slot: the first one, of the rules and tools, and the latest ones
# A file is read in place of a sequence in memory if that saves at least so many tokens.
_WORTH_A_FILE = 32


@dataclass(frozen=True, slots=True, eq=False)
class StateCheckpoint:
    """The state of a model that does not rewind, after the first `tokens` of a sequence."""

    tokens: int
    state: bytes


@dataclass
class Slot:
    """One sequence. Its cells hold the first `held` of the tokens of `memory`.

    `states` are its checkpoints, by their places. It cannot go back to fewer than `floor` tokens,
    because a file lacks the earlier ones of sliding windows.
    """

    seq: int
    memory: Memory = field(default_factory=Memory)
    held: int = 0
    worth: float = 0.0
    busy: bool = False
    states: list[StateCheckpoint] = field(default_factory=list)
    floor: int = 0


class Slots:
    """All sequences of a model. `files` are those kept on disk, if any."""

    def __init__(self, llm: Llm, files: KvFiles | None = None) -> None:
        self._llm = llm
        self._files = files
        self._age = 0.0
        self.all = [Slot(seq) for seq in range(llm.sequences)]
        self.latest: Slot | None = None
        """The slot of the latest prompt that later ones continue."""

    def memory(self, text: str, tokenize: Callable[[str, bool], list[int]]) -> Memory:
        """The tokens of a conversation's text; earlier replies keep their tokens."""
        known = [slot.memory for slot in self.all]
        known += [stored.memory for stored in (self._files.stored if self._files else ())]
        return remember(known, text, tokenize)

    def place(self, memory: Memory, limit: int, *, shares: bool = False) -> Slot:
        """Find a slot for a prompt and mark it busy; it holds at most the first `limit` tokens.

        With `shares`, the slot is a copy, so that the tokens of the other slot stay.
        """
        tokens, whole = memory.tokens[:limit], self._llm.slides or not self._llm.rewinds
        best, common = self._best(tokens)
        stored, there = self._files.best(tokens, whole=whole) if self._files else (None, 0)
        if stored is not None and there >= common + _WORTH_A_FILE:
            slot = self._restored(stored, there)
        elif best is None:
            slot = self._empty()
        elif best.busy or shares or best.held - common > _LITTLE:
            slot = self._empty(besides=best)
            self._copy(best, slot, common)
        else:
            slot = best
            self.keep(slot, common)
        slot.memory, slot.busy = memory, True
        return slot

    def free(self, slot: Slot) -> None:
        """End the use of a slot by a run; others may use the tokens that it holds."""
        slot.busy = False
        slot.worth = self._age + slot.held

    def keep(self, slot: Slot, count: int) -> None:
        """Drop all but the first `count` tokens of a slot, or more where the model cannot."""
        if count >= slot.held:
            return
        if not self._llm.rewinds:
            self._go_back(slot, count)
        elif count < slot.floor or not self._llm.keep(slot.seq, count):
            self.clear(slot)
        else:
            slot.held = count

    def recover(self, slot: Slot) -> None:
        """Bring a slot back to the tokens that it held before an interrupted step."""
        if self._llm.rewinds:
            self._llm.keep(slot.seq, slot.held)
        else:
            self._go_back(slot, slot.held)

    def mark(self, slot: Slot) -> None:
        """Keep a checkpoint of a slot's present state, if the model does not rewind."""
        if self._llm.rewinds or any(point.tokens == slot.held for point in slot.states):
            return
        new = StateCheckpoint(slot.held, self._llm.checkpoint(slot.seq))
        latest = slot.states[1:][-(_SLOT_STATES - 2) :]
        slot.states = [*slot.states[:1], *latest, new]
        others = [s for s in self.all if s is not slot and not s.busy]
        for other in sorted(others, key=lambda s: s.worth):
            if len({point for s in self.all for point in s.states}) > CHECKPOINTS:
                other.states = []

    def clear(self, slot: Slot) -> None:
        """Drop all tokens of a slot."""
        self._llm.keep(slot.seq, 0)
        slot.held, slot.memory, slot.states, slot.floor = 0, Memory(), [], 0

    def give_up_one(self) -> bool:
        """Clear the idle slot that is worth least; return False if there is none."""
        idle = [slot for slot in self.all if not slot.busy and slot.held]
        if not idle:
            return False
        least = min(idle, key=lambda slot: slot.worth)
        self._age = max(self._age, least.worth)
        self.clear(least)
        return True

    def store(self, slot: Slot, count: int) -> int:
        """Store the first `count` tokens of a slot on disk; return the number of stored tokens.

        The slot must hold no more than these.
        """
        if self._files is None or slot.held != count or not count:
            return 0
        memory = slot.memory.first(count)
        kept = self._files.add(memory, lambda path: self._llm.save(slot.seq, path, memory.tokens))
        return count if kept else 0

    def store_checkpoint(self, slot: Slot) -> None:
        """Store the tokens up to a slot's last checkpoint, as the reply after it may change."""
        count = slot.states[-1].tokens if slot.states else 0
        if count < slot.held and count and self.stores(slot.memory.tokens[:count]):
            spare = self._empty(besides=slot)
            self._copy(slot, spare, count)
            spare.memory = slot.memory.first(count)
            self.store(spare, count)

    def stores(self, tokens: Sequence[int]) -> bool:
        """Whether these tokens should be stored and are not."""
        return self._files is not None and not self._files.has(tokens)

    @property
    def keeps_files(self) -> bool:
        """Whether KV caches are stored on disk."""
        return self._files is not None

    def _best(self, tokens: Sequence[int]) -> tuple[Slot | None, int]:
        best, most = None, 0
        for slot in self.all:
            common = self._reachable(slot, tokens)
            # An idle one of equals: nothing has to be copied.
            if common > most or (common == most and best is not None and best.busy > slot.busy):
                best, most = slot, common
        return (best, most) if most else (None, 0)

    def _reachable(self, slot: Slot, tokens: Sequence[int]) -> int:
        """How many of `tokens`, from the first one, a slot holds and can go back to."""
        common = common_prefix(slot.memory.tokens[: slot.held], tokens)
        if self._llm.rewinds or common == slot.held:
            return common if common >= slot.floor else 0
        return max((point.tokens for point in slot.states if point.tokens <= common), default=0)

    def _copy(self, source: Slot, target: Slot, count: int) -> None:
        """Let the empty `target` share `count` tokens that `source` can go back to."""
        states = [point for point in source.states if point.tokens <= count]
        whole = self._llm.rewinds or count == source.held
        state = b"" if whole else states[-1].state
        if self._llm.copy(source.seq, target.seq, count, state):
            target.held, target.states, target.floor = count, states, source.floor

    def _go_back(self, slot: Slot, count: int) -> None:
        """Return to the last checkpoint within the first `count` tokens, or drop all."""
        slot.states = [point for point in slot.states if point.tokens <= count]
        last = slot.states[-1] if slot.states else StateCheckpoint(0, b"")
        if self._llm.keep(slot.seq, last.tokens, last.state):
            slot.held = last.tokens
        else:
            slot.held, slot.states = 0, []

    def _empty(self, besides: Slot | None = None) -> Slot:
        """An idle slot without tokens; the least valuable one is cleared if needed."""
        idle = [slot for slot in self.all if not slot.busy and slot is not besides]
        slot = min(idle, key=lambda slot: (slot.held > 0, slot.worth))
        if slot.held:
            self._age = max(self._age, slot.worth)
        self.clear(slot)
        return slot

    def _restored(self, stored: Stored, common: int) -> Slot:
        slot = self._empty()
        tokens = stored.memory.tokens
        assert self._files is not None
        if self._files.read(stored, lambda path: self._llm.restore(slot.seq, path, tokens)):
            slot.held = len(tokens)
            slot.floor = len(tokens) if self._llm.slides else 0
            self.mark(slot)
            self.keep(slot, common)
        return slot

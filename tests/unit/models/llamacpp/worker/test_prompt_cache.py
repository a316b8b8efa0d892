"""Which tokens are taken over from one prompt to the next."""

from localagent.models.llamacpp.worker.prompt_cache import Memory, common_prefix, remember


def words(text: str, first: bool) -> list[int]:
    """A toy tokenizer: a token for each letter, but "un" + "able" only when not together."""
    return [ord(c) for c in ("^" if first else "") + text.replace("unable", "U")]


def asked(text: str, *before: Memory) -> Memory:
    return remember(before, text, words)


def test_common_prefix() -> None:
    assert common_prefix([1, 2, 3], [1, 2, 4]) == 2
    assert common_prefix([1, 2], [1, 2, 4]) == 2
    assert common_prefix([], [1]) == 0


def test_a_reply_is_taken_over_as_it_was_written() -> None:
    memory = asked("Q:")
    memory.add_reply([1000, 1001], "unable", [2, 6], 6)
    assert asked("Q:unable;", memory).tokens == [*map(ord, "^Q:"), 1000, 1001, ord(";")]


def test_a_reply_that_was_changed_is_tokenized_again() -> None:
    memory = asked("Q:")
    memory.add_reply([1000, 1001], "unable", [2, 6], 6)
    assert asked("Q:unbound", memory).tokens == list(map(ord, "^Q:unbound"))


def test_earlier_replies_survive_a_change_after_them() -> None:
    first = asked("Q:")
    first.add_reply([1000, 1001], "unable", [2, 6], 6)
    second = asked("Q:unable;R:", first)
    second.add_reply([1002], "yes", [3], 3)
    assert asked("Q:unable;S:", second).tokens[3:5] == [1000, 1001]


def test_the_longest_of_several_memories_is_taken() -> None:
    first = asked("Q:")
    first.add_reply([1000, 1001], "unable", [2, 6], 6)
    second = asked("Q:unable;R:", first)
    second.add_reply([1002], "yes", [3], 3)
    for order in ((first, second), (second, first)):
        assert asked("Q:unable;R:yes!", *order).tokens[-2:] == [1002, ord("!")]


def test_a_memory_without_its_text_serves_as_well() -> None:
    memory = asked("Q:")
    memory.add_reply([1000, 1001], "unable", [2, 6], 6)
    stored = memory.first(len(memory.tokens))
    assert stored.text is None
    assert asked("Q:unable;", stored).tokens == [*map(ord, "^Q:"), 1000, 1001, ord(";")]
    assert asked("Q:unable;", memory.first(4)).tokens == list(map(ord, "^Q:U;"))


def test_a_stop_sequence_is_not_part_of_the_reply() -> None:
    memory = asked("Q:")
    memory.add_reply([1000, 1001, 1002], "unable\n``", [2, 6, 9], 6)
    assert memory.tokens == [*map(ord, "^Q:"), 1000, 1001]
    assert asked("Q:unable;", memory).tokens[3:] == [1000, 1001, ord(";")]


def test_a_token_that_a_stop_sequence_begins_in_is_left_out() -> None:
    memory = asked("Q:")
    memory.add_reply([1000, 1001], "una\n``", [2, 6], 3)
    assert asked("Q:una\n", memory).tokens == [*map(ord, "^Q:una\n")]


def test_a_reply_may_be_stripped_by_the_caller() -> None:
    memory = asked("Q:")
    memory.add_reply([1000, 1001, 1002, 1003], "unable \n", [2, 6, 7, 8], 8)
    assert asked("Q:unable;", memory).tokens[3:] == [1000, 1001, ord(";")]


def test_what_a_message_makes_of_a_reply_is_what_is_compared() -> None:
    memory = asked("Q:")
    memory.add_reply([1000, 1001], "<e>", [1, 3], 3, lambda text: text.replace("<", "<_"))
    assert asked("Q:<_e>;", memory).tokens[3:] == [1000, 1001, ord(";")]


def test_no_conversation_continues_a_raw_prompt() -> None:
    memory = Memory([1, 2])
    memory.add_reply([1000], "Q", [1], 1)
    assert asked("Q:", memory).tokens == list(map(ord, "^Q:"))

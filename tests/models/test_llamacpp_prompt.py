"""Which tokens are taken over from one prompt to the next."""

from localagent.models.worker_prompt import PromptCache, common_prefix


def words(text: str, first: bool) -> list[int]:
    """A toy tokenizer: a token for each letter, but "un" + "able" only when not together."""
    return [ord(c) for c in ("^" if first else "") + text.replace("unable", "U")]


def decoded(cache: PromptCache) -> None:
    cache.held = len(cache.tokens)


def test_common_prefix() -> None:
    assert common_prefix([1, 2, 3], [1, 2, 4]) == 2
    assert common_prefix([1, 2], [1, 2, 4]) == 2
    assert common_prefix([], [1]) == 0


def test_a_reply_is_taken_over_as_it_was_written() -> None:
    cache = PromptCache()
    cache.prompt("Q:", words)
    decoded(cache)
    cache.reply([1000, 1001], "unable", [2, 6], 6)
    cache.held = len(cache.tokens) - 1  # the last token was never decoded
    assert cache.prompt("Q:unable;", words) == [*map(ord, "^Q:"), 1000, 1001, ord(";")]
    assert cache.held == 4


def test_a_reply_that_was_changed_is_tokenized_again() -> None:
    cache = PromptCache()
    cache.prompt("Q:", words)
    decoded(cache)
    cache.reply([1000, 1001], "unable", [2, 6], 6)
    decoded(cache)
    assert cache.prompt("Q:unbound", words) == list(map(ord, "^Q:unbound"))
    assert cache.held == 3


def test_earlier_replies_survive_a_change_after_them() -> None:
    cache = PromptCache()
    cache.prompt("Q:", words)
    decoded(cache)
    cache.reply([1000, 1001], "unable", [2, 6], 6)
    cache.prompt("Q:unable;R:", words)
    decoded(cache)
    cache.reply([1002], "yes", [3], 3)
    decoded(cache)
    assert cache.prompt("Q:unable;S:", words)[3:5] == [1000, 1001]
    assert cache.held == 6


def test_a_stop_sequence_is_not_part_of_the_reply() -> None:
    cache = PromptCache()
    cache.prompt("Q:", words)
    decoded(cache)
    cache.reply([1000, 1001, 1002], "unable\n``", [2, 6, 9], 6)
    assert cache.tokens == [*map(ord, "^Q:"), 1000, 1001]
    assert cache.prompt("Q:unable;", words)[3:] == [1000, 1001, ord(";")]


def test_a_token_that_a_stop_sequence_begins_in_is_left_out() -> None:
    cache = PromptCache()
    cache.prompt("Q:", words)
    decoded(cache)
    cache.reply([1000, 1001], "una\n``", [2, 6], 3)
    assert cache.prompt("Q:una\n", words) == [*map(ord, "^Q:una\n")]


def test_a_reply_may_be_stripped_by_the_caller() -> None:
    cache = PromptCache()
    cache.prompt("Q:", words)
    decoded(cache)
    cache.reply([1000, 1001, 1002, 1003], "unable \n", [2, 6, 7, 8], 8)
    assert cache.prompt("Q:unable;", words)[3:] == [1000, 1001, ord(";")]


def test_what_a_message_makes_of_a_reply_is_what_is_compared() -> None:
    cache = PromptCache()
    cache.prompt("Q:", words)
    decoded(cache)
    cache.reply([1000, 1001], "<e>", [1, 3], 3, lambda text: text.replace("<", "<_"))
    assert cache.prompt("Q:<_e>;", words)[3:] == [1000, 1001, ord(";")]


def test_no_conversation_continues_a_raw_prompt() -> None:
    cache = PromptCache()
    cache.raw_prompt([1, 2])
    decoded(cache)
    cache.reply([1000], "Q", [1], 1)
    assert cache.prompt("Q:", words) == list(map(ord, "^Q:"))
    assert cache.held == 0

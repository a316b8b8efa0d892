"""Stop sequences and characters that are spread over tokens."""

from collections.abc import Sequence

from hypothesis import example, given
from hypothesis import strategies as st

from localagent.models.llamacpp.worker.run import ReplyText


def write(pieces: Sequence[bytes], stop: Sequence[str]) -> tuple[list[str], ReplyText]:
    """What is sent after each piece, and at the end."""
    reply = ReplyText(stop)
    sent = []
    for piece in pieces:
        sent.append(reply.add(piece))
        if reply.stopped:
            break
    return [*sent, reply.finish()], reply


def test_what_could_begin_a_stop_sequence_is_held_back() -> None:
    sent, _ = write([b"a", b"\n", b"`", b"`", b"x"], ["\n```"])
    assert sent == ["a", "", "", "", "\n``x", ""]


def test_a_stop_sequence_over_several_tokens_is_cut_with_what_follows_it() -> None:
    sent, reply = write([b"code\n", b"``", b"`more"], ["\n```"])
    assert "".join(sent) == "code"
    assert reply.stopped


def test_what_was_held_back_is_sent_at_the_end() -> None:
    sent, reply = write([b"a\n", b"``"], ["\n```"])
    assert sent == ["a", "", "\n``"]
    assert not reply.stopped


def test_the_first_of_several_stop_sequences_counts() -> None:
    sent, _ = write([b"one two three"], ["three", "two"])
    assert "".join(sent) == "one "


def test_characters_are_never_split() -> None:
    data = "ü€😀".encode()
    sent, reply = write([bytes([byte]) for byte in data], [])
    assert [piece for piece in sent if piece] == ["ü", "€", "😀"]
    assert reply.ends == [None, 1, None, None, 2, None, None, None, 3]


def test_an_unfinished_character_is_dropped_and_a_wrong_byte_replaced() -> None:
    assert "".join(write([b"a", "€".encode()[:2]], [])[0]) == "a"
    assert "".join(write([b"a\xff", b"b"], [])[0]) == "a\ufffdb"


@st.composite
def cut(draw: st.DrawFn) -> tuple[str, list[bytes]]:
    """A text, and its bytes cut anywhere."""
    text = draw(st.text("ab\n`é😀", max_size=24))
    data = text.encode()
    cuts = sorted(draw(st.sets(st.integers(0, len(data)))))
    return text, [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@given(cut(), st.lists(st.text("ab\n`é", min_size=1, max_size=4), max_size=3))
@example(("aab", [b"aa", b"b"]), ["ab"])
def test_the_reply_is_the_text_up_to_a_stop_sequence(
    text: tuple[str, list[bytes]], stop: list[str]
) -> None:
    whole, pieces = text
    sent, reply = write(pieces, stop)
    got = "".join(sent)
    assert got == reply.sent
    assert not any(sequence in got for sequence in stop)
    if any(sequence in whole for sequence in stop):
        assert reply.stopped
        assert any(whole[len(got) :].startswith(sequence) for sequence in stop)
    else:
        assert got == whole

"""Stuck replies are told from long ones."""

from hypothesis import given
from hypothesis import strategies as st

from localagent.agent.repetition import LINES, repeats


def test_one_line_for_ever() -> None:
    assert repeats("def f():\n" + "    x = x.strip()\n" * 30)


def test_a_chain_on_one_line() -> None:
    assert repeats("return text" + ".replace('-', ' ')" * 12)


def test_lines_that_differ_only_at_their_end() -> None:
    lines = "".join(
        f"    text = text.replace('{chr(97 + n % 26)}', '')\n" for n in range(LINES + 1)
    )
    assert repeats(lines)


def test_ordinary_code_does_not_repeat() -> None:
    import inspect

    import localagent.agent.ask as module

    source = inspect.getsource(module)
    assert not any(repeats(source[:end]) for end in range(0, len(source), 7))


def test_blank_space_and_tables_do_not_repeat() -> None:
    assert not repeats("\n" * 500)
    assert not repeats("x = [\n" + "".join(f"    {n},\n" for n in range(100)))


@given(st.text(max_size=400))
def test_any_text_is_answered(text: str) -> None:
    assert repeats(text) in (True, False)


@given(st.text(min_size=1, max_size=60).filter(str.strip))
def test_any_unit_said_often_is_found(unit: str) -> None:
    assert repeats("start " + unit * 200)

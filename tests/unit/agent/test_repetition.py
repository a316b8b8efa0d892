"""Stuck replies are told from long ones."""

from hypothesis import given
from hypothesis import strategies as st

from localagent.agent.limits import LOOP
from localagent.agent.model_calls import continuations, repeats


def test_one_line_for_ever() -> None:
    assert repeats("def f():\n" + "    x = x.strip()\n" * 30)


def test_a_chain_on_one_line() -> None:
    assert repeats("return text" + ".replace('-', ' ')" * 12)


def test_lines_that_differ_only_at_their_end() -> None:
    lines = "".join(
        f"    text = text.replace('{chr(97 + n % 26)}', '')\n" for n in range(LOOP.alike_lines + 1)
    )
    assert repeats(lines)


def test_ordinary_code_does_not_repeat() -> None:
    import inspect

    import localagent.agent.model_calls as module

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


CHAIN = "".join(f".replace('{c}', '')" for c in "-$%#*+/()[]{}|?!@^&")
ROUND = "".join(f".replace('{c}', '')" for c in "()[]{}|?!@^&")


def test_a_long_chain_on_one_line() -> None:
    assert repeats("class A:\n    def f(self, text):\n        self.text = text" + CHAIN + 3 * ROUND)


@given(st.text(min_size=81, max_size=400).filter(lambda unit: unit[-64:].strip()))
def test_a_long_unit_said_three_times_is_found(unit: str) -> None:
    assert repeats("start " + unit * 3)


def test_a_chain_is_left_where_its_statement_could_end() -> None:
    before = "class A:\n    def f(self, text):\n        self.text = text"
    assert continuations(before + CHAIN + 3 * ROUND, 3) == [
        f"{before}\n",
        f"{before}.replace('-', '')\n",
        f"{before}.replace('-', '').replace('$', '')\n",
    ]


def test_lines_that_come_again_are_left_after_the_first() -> None:
    before = "def f(x):\n    y = x\n"
    assert f"{before}    x = x.strip()\n" in continuations(before + "    x = x.strip()\n" * 30, 3)
    alike = "".join(
        f"    text = text.replace('{chr(97 + n)}', '')\n" for n in range(LOOP.alike_lines + 1)
    )
    assert f"{before}    text = text.replace('a', '')\n" in continuations(before + alike, 3)


def test_there_is_no_way_out_of_a_text_without_circles() -> None:
    assert continuations("def f():\n    return 1\n", 3) == []


@given(st.text(max_size=60), st.text(min_size=1, max_size=60).filter(str.strip))
def test_continuations_keep_the_text_before(before: str, unit: str) -> None:
    text = before + "\n" + unit * 200
    for way in continuations(text, 3):
        assert text.startswith(way.removesuffix("\n"))
        assert len(way) < len(text)

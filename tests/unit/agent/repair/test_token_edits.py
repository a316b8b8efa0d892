"""What the model reads of a function, and the edits that its likely tokens make."""

from __future__ import annotations

import math

from localagent.agent.repair.function_text import FunctionText, LineEdit, read_function
from localagent.agent.repair.token_edits import (
    branches,
    exits,
    guard_edits,
    guard_of,
    line_end_edits,
    token_edits,
    usable,
)
from localagent.models.alternatives import TokenOption, TokenPlace

TEXT = '''import re


class Shop(Base):
    """Sells things."""

    @cached
    def total(self, prices, most=3):
        """Sum the prices.

        All of them.
        """
        if prices:
            return sum(
                prices
            )
        return prices

    def other(self):
        return 1
'''
RAN = {13: 0.5, 14: 0.5, 17: 1.0}


def read(text: str = TEXT, line: int = 14, most: int = 60, **weights: float) -> FunctionText:
    function = read_function(text, line, weights or RAN, ["Fix it", "Must hold: x"], most)
    assert function is not None
    return function


def place_of(function: FunctionText, old: str, *options: str) -> TokenPlace:
    start = function.text.encode().rindex(old.encode())
    chosen = tuple(TokenOption(n, text, 0.5**n) for n, text in enumerate(options, 1))
    return TokenPlace(7, start, start + len(old.encode()), chosen)


def lines_after(function: FunctionText, *edits: LineEdit) -> list[str]:
    before = set(function.source)
    return ["|".join(x for x in function.file(e).splitlines() if x not in before) for e in edits]


def test_the_model_reads_comments_the_class_and_the_function_without_its_docstring() -> None:
    function = read()
    assert function.text == (
        "class Shop(Base):\n"
        "    # Fix it\n"
        "    # Must hold: x\n"
        "    def total(self, prices, most=3):\n"
        "        if prices:\n"
        "            return sum(\n"
        "                prices\n"
        "            )\n"
        "        return prices\n"
    )
    assert (function.first, function.last) == (8, 17)
    assert function.locate(function.text.index("if prices")) == (13, 8)


def test_a_line_weighs_what_its_statement_does_and_the_signature_little() -> None:
    assert read().read == {8: 0.02, 13: 0.5, 14: 0.5, 15: 0.5, 16: 0.5, 17: 1.0}


def test_lines_that_no_failing_test_ran_after_the_last_suspicious_one_are_not_read() -> None:
    function = read_function(TEXT, 13, {13: 1.0}, [], 60)
    assert function is not None
    assert function.text.endswith("        if prices:\n")


def test_of_a_long_function_the_model_reads_the_most_suspicious_part() -> None:
    text = "def f():\n" + "".join(f"    a{n} = {n}\n" for n in range(100))
    function = read_function(text, 50, {52: 1.0, 2: 0.1}, [], 10)
    assert function is not None
    assert len(function.read) <= 11
    assert function.text.startswith("def f():\n")
    assert function.text.endswith("    a50 = 50\n")


def test_no_function_no_text() -> None:
    assert read_function("a = 1\n", 1, {}, [], 60) is None
    assert read_function("def f(:\n", 1, {}, [], 60) is None


def test_a_token_stands_alone_before_the_old_one_or_in_place_of_the_next_two() -> None:
    function = read()
    (found,) = branches(function, [place_of(function, " prices:", " not")])
    edits = list(token_edits(found))
    assert lines_after(function, *edits) == [
        "        if not prices:",
        "        if not:",
        "        if not",
    ]
    forms = {function.form()}
    assert [e.lines for e in usable(function, edits, forms)] == [("        if not prices:",)]
    assert list(usable(function, edits, forms)) == []


def test_a_token_that_ends_the_line_cuts_it() -> None:
    function = read()
    (found,) = branches(function, [place_of(function, " prices\n", "\n")])
    assert lines_after(function, *token_edits(found)) == ["        return"]


def test_the_likeliest_token_on_the_most_suspicious_line_comes_first() -> None:
    function = read()
    places = [place_of(function, " prices:", " a", " b"), place_of(function, " prices\n", " c")]
    found = branches(function, places)
    assert [branch.before.split()[-1] for branch in found] == ["c", "a", "b"]
    assert math.isclose(found[1].score, math.log(0.25))


def test_the_model_continues_a_line_whose_old_end_may_return_at_any_word() -> None:
    function = read()
    (found,) = branches(function, [place_of(function, ":\n            return", " is")])
    edits = list(line_end_edits(found, " not None:\n            x"))
    new = [edit.lines[0] for edit in usable(function, edits, set())]
    assert new == ["        if prices is not None:"]


def test_a_new_line_comes_before_the_old_one_around_it_or_in_its_place() -> None:
    function = read()
    (found,) = branches(function, [place_of(function, " return prices", " if")])
    edits = line_end_edits(found, " most:")
    assert [edit.lines for edit in usable(function, edits, set())] == [
        ("        if most:", "            return prices")
    ]
    (found,) = branches(function, [place_of(function, " return prices", " prices")])
    edits = line_end_edits(found, ".pop()")
    new = [(edit.replaced, edit.lines) for edit in usable(function, edits, set())]
    assert new[:2] == [(0, ("        prices.pop()",)), (1, ("        prices.pop()",))]


def test_comments_and_texts_of_messages_are_no_places_for_edits() -> None:
    text = 'def f(n):\n    raise E("ä", "too few")  # n is wrong\n'
    function = read_function(text, 2, {2: 1.0}, [], 60)
    assert function is not None
    line = text.splitlines()[1].encode()
    columns = {word: line.index(word) for word in (b"E(", b'"too', b"few", b"wrong")}
    weights = {word: function.weight(2, column) for word, column in columns.items()}
    assert weights == {b"E(": 1.0, b'"too': 1.0, b"few": 0.1, b"wrong": 0.0}
    places = [place_of(function, " is", " #"), place_of(function, " wrong", " a")]
    assert branches(function, [*places, place_of(function, " E", "  # E", " F")])[0].before == (
        "    raise F"
    )


def test_a_line_may_follow_the_last_one() -> None:
    function = read()
    end = len(function.text.encode())
    place = TokenPlace(9, end, end, (TokenOption(1, "       ", 0.5),))
    (found,) = branches(function, [place])
    assert list(token_edits(found)) == []
    (edit,) = line_end_edits(found, " most += 1")
    assert function.before(edit.number) == function.text
    assert function.form(edit) is not None
    assert "        return prices\n        most += 1\n\n    def other" in function.file(edit)


def test_the_block_of_a_guard_is_what_the_model_writes_or_how_the_function_ends_elsewhere() -> None:
    function = read()
    assert exits(function) == ["return", "continue", "return sum(", "return prices"]
    (found,) = branches(function, [place_of(function, " return prices", " if")])
    guard = guard_of(found, " not most:\n")
    assert guard == "        if not most:"
    edits = guard_edits(found, guard, ["raise ValueError", *exits(function), "return"])
    blocks = [edit.lines[1].strip() for edit in usable(function, edits, set())]
    assert blocks == ["raise ValueError", "return", "continue", "return prices"]
    assert guard_of(found, " not most") == ""

"""An infill's prompt has the function, its class's head, and the signatures that it calls."""

from __future__ import annotations

from localagent.agent.limits import SEARCH
from localagent.agent.repair.infill_prompt import infill_prompt

HEADER = "# Copyright of nobody\n# License: any\n"
SMALL = HEADER + "import re\n\n\ndef low(n):\n    m = n\n    return m\n"


def padded(code: str) -> list[str]:
    """The code with a license header and too many other lines for a small file."""
    return (
        f"{HEADER}{'x = 1' + chr(10)}{'y = 2' + chr(10)}{code}".splitlines(True)
        + ["z = 3\n"] * SEARCH.infill_file
    )


MODULE = '''class Shop(Base):
    """Sells."""

    def price(self, one,
              two=2):
        return 1

    @cached
    def total(self, goods):
        """Sum."""
        prices = [self.price(g) for g in goods]
        count = helper(prices)
        return count


def helper(prices): return 3
'''


def at(lines: list[str], text: str) -> int:
    return next(n for n, line in enumerate(lines, 1) if text in line)


def test_a_small_file_is_shown_whole_without_its_license() -> None:
    lines = SMALL.splitlines(True)
    prompt = infill_prompt(lines, 7, 8, ["Must hold: low(1) == 1"])
    assert prompt.prefix == "import re\n\n\n# Must hold: low(1) == 1\ndef low(n):\n"
    assert prompt.suffix == "    return m\n"


def test_of_a_long_file_the_function_its_class_and_the_signatures_it_calls() -> None:
    lines = padded(MODULE)
    place = at(lines, "count = ")
    prompt = infill_prompt(lines, place, place + 1, ["Must hold: total([]) == 0"])
    assert prompt.prefix == (
        "def helper(prices): ...\n"
        "class Shop(Base):\n"
        "    def price(self, one, two=2): ...\n"
        "    # Must hold: total([]) == 0\n"
        "    @cached\n"
        "    def total(self, goods):\n"
        '        """Sum."""\n'
        "        prices = [self.price(g) for g in goods]\n"
    )
    assert prompt.suffix.startswith("        return count\n")
    assert prompt.suffix.count("\n") == 3


def test_a_long_docstring_is_left_out() -> None:
    lines = padded(MODULE.replace('"""Sum."""', '"""Sum.' + 9 * "\n        More." + '"""'))
    place = at(lines, "count = ")
    prefix = infill_prompt(lines, place, place + 1).prefix
    assert prefix.endswith(
        "    def total(self, goods):\n        prices = [self.price(g) for g in goods]\n"
    )


def test_all_places_of_a_function_share_their_prefix() -> None:
    body = "".join(f"    a{n} = {n}\n" for n in range(200))
    lines = padded(f"def many():\n{body}    return a1\n")
    first = at(lines, "a130 =")
    prefixes = [
        infill_prompt(lines, n, n + 1, ["Must hold: many()"]).prefix
        for n in range(first, first + 60)
    ]
    starts = {prefix.splitlines()[2] for prefix in prefixes}
    assert all(prefix.startswith("# Must hold: many()\ndef many():\n") for prefix in prefixes)
    assert len(starts) <= 4
    assert max(prefix.count("\n") for prefix in prefixes) <= SEARCH.infill_before + 2


def test_a_place_outside_of_functions_shows_the_lines_around_it() -> None:
    lines = [*HEADER.splitlines(True), *(f"a{n} = {n}\n" for n in range(200))]
    prompt = infill_prompt(lines, 100, 101, ["Must hold: a1 == 1"])
    assert prompt.prefix.startswith("# Must hold: a1 == 1\n")
    assert prompt.prefix.count("\n") == SEARCH.infill_before + 1
    assert prompt.suffix.count("\n") == SEARCH.infill_after


def test_a_text_that_does_not_parse_shows_the_lines_around_the_place() -> None:
    prompt = infill_prompt(["def broken(:\n", "    pass\n"], 2, 3)
    assert (prompt.prefix, prompt.suffix) == ("def broken(:\n", "")

"""Candidates that answer the tests' inputs one by one."""

import pytest

from localagent.agent.repair.false_passes import is_overfit, special_cases

TESTS = """
def test_one():
    assert abbreviate("Portable Network Graphics") == "PNG."
    assert abbreviate("Ruby on Rails") == "ROR."
    assert total(1234) == 4321
    assert say(0) == "zero"
    assert say(14) == "fourteen"
    assert value("brown") == 1
"""


@pytest.mark.parametrize(
    "body",
    [
        'if x == "Portable Network Graphics":\n        return "PNG."\n'
        '    if x == "Ruby on Rails":\n        return "ROR."\n    return ""',
        'if "Ruby on Rails" == x:\n        return "ROR."\n'
        "    elif x in (1234, 5):\n        return 4321",
        'return {"Portable Network Graphics": "PNG.", "Ruby on Rails": "ROR."}[x]',
        'match x:\n        case "Ruby on Rails":\n            return "ROR."\n'
        "        case 1234:\n            return 4321",
    ],
)
def test_the_tests_own_inputs_with_their_outputs_are_found(body: str) -> None:
    text = f"def f(x):\n    {body}\n"
    assert special_cases(text, [TESTS]) >= 2
    assert is_overfit(text, [TESTS])
    assert not is_overfit(text, ["def test(): assert f('something else') == 'entirely'"])


@pytest.mark.parametrize(
    "body",
    [
        'if x == 0:\n        return "zero"\n    return words(x)',
        'return {"black": 0, "brown": 1, "red": 2}[x]',
        'if x == 14:\n        return "fourteen"\n    if x == 15:\n        return "fifteen"',
        'if x == "Ruby on Rails":\n        return "ROR."\n    return x.upper()',
        'if x == "Ruby on Rails":\n        x = x.lower()\n        return "ROR."',
        "not python (",
    ],
)
def test_what_honest_programs_do_is_let_pass(body: str) -> None:
    assert not is_overfit(f"def f(x):\n    {body}\n", [TESTS])


def test_tests_that_do_not_parse_say_nothing() -> None:
    text = 'def f(x):\n    return {"one two": "three four", "five six": "seven"}[x]\n'
    assert not is_overfit(text, ["(", "\0"])

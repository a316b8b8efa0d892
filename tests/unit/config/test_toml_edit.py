"""One value of a TOML text changes, and nothing else does."""

from __future__ import annotations

import random
import tomllib

import pytest

from localagent.config.edit import with_value, without

TEXT = """\
# My settings.
# Two lines of them.

model = "small" # the quick one
threads = 4
fallback = [
  "a", # first
  "b",
]   # in this order
check = '''
make
test'''

# Who does what.
[roles]
small = "tiny"  # titles

# What may be done.
[[permissions]]
action = "allow"
match = "git # status*"
"""


def changed(old: str, new: str) -> tuple[list[str], list[str]]:
    """The lines that went and those that came."""
    before, after = old.split("\n"), new.split("\n")
    return [x for x in before if x not in after], [x for x in after if x not in before]


@pytest.mark.parametrize(
    ("path", "value", "gone", "came"),
    [
        (
            ("model",),
            "big",
            ['model = "small" # the quick one'],
            ['model = "big" # the quick one'],
        ),
        (("threads",), 8, ["threads = 4"], ["threads = 8"]),
        (("mode",), "plan", [], ['mode = "plan"']),
        (("roles", "small"), "t", ['small = "tiny"  # titles'], ['small = "t"  # titles']),
        (("roles", "planner"), "p", [], ['planner = "p"']),
    ],
)
def test_a_value_is_set(
    path: tuple[str, ...], value: object, gone: list[str], came: list[str]
) -> None:
    new = with_value(TEXT, path, value)
    assert changed(TEXT, new) == (gone, came)
    wanted = tomllib.loads(TEXT)
    table = wanted if len(path) == 1 else wanted.setdefault(path[0], {})
    table[path[-1]] = value
    assert tomllib.loads(new) == wanted


def test_values_over_several_lines_go_as_a_whole() -> None:
    new = with_value(TEXT, ("fallback",), ["c"])
    assert 'fallback = ["c"]   # in this order\n' in new
    new = with_value(new, ("check",), "make")
    assert 'check = "make"\n\n# Who does what.' in new
    new = without(without(new, ("check",)), ("fallback",))
    assert tomllib.loads(new).keys() == {"model", "threads", "roles", "permissions"}
    assert new.startswith("# My settings.\n# Two lines of them.\n\nmodel")


def test_a_new_value_keeps_the_comments_with_what_they_are_about() -> None:
    assert with_value("# Mine.\n\n# Who.\n[roles]\nsmall = 'a'\n", ("nice",), 5) == (
        "# Mine.\n\nnice = 5\n\n# Who.\n[roles]\nsmall = 'a'\n"
    )
    assert with_value("", ("nice",), 5) == "nice = 5\n"
    assert with_value("# Mine.\n", ("nice",), 5) == "# Mine.\nnice = 5\n"
    assert with_value("a = 1", ("nice",), 5) == "a = 1\nnice = 5\n"
    assert with_value("a = 1\n", ("roles", "small"), "x") == 'a = 1\n\n[roles]\nsmall = "x"\n'


def test_other_ways_to_write_the_same() -> None:
    assert with_value('"nice" = 1\n', ("nice",), 5) == '"nice" = 5\n'
    assert with_value("roles.small = 'a'\n", ("roles", "small"), "b") == 'roles.small = "b"\n'
    assert with_value("a = 1\r\nb = 2 # c\r\n", ("a",), 5) == "a = 5\r\nb = 2 # c\r\n"
    assert with_value("a = 1\r\n", ("b",), 5) == "a = 1\r\nb = 5\r\n"
    assert without("roles.small = 'a'\nroles.planner = 'b'\nx = 1\n", ("roles",)) == "x = 1\n"
    assert without(TEXT, ("nice",)) == TEXT
    assert "tiny" not in without(TEXT, ("roles", "small"))


def test_a_table_on_one_line_is_changed_in_it() -> None:
    before = "roles = { small = 'a' } # who\nx = 1\n"
    after = with_value(before, ("roles", "planner"), "b")
    assert tomllib.loads(after)["roles"] == {"small": "a", "planner": "b"}
    assert after.endswith(" # who\nx = 1\n")


def test_what_is_no_toml_is_an_error() -> None:
    with pytest.raises(ValueError, match="line 1"):
        with_value("a = = 1\n", ("a",), 2)


def test_a_thousand_random_changes_leave_the_rest_alone() -> None:
    chance = random.Random(7)
    text = TEXT
    comments = [line for line in TEXT.split("\n") if line.startswith("#")]
    keys = [("model",), ("threads",), ("nice",), ("fallback",), ("roles", "small"), ("roles", "x")]
    values = [1, "a # b", ["x", "y#"], "l\n# m\nn", 2.5, True, '"=']
    for _ in range(1000):
        path = chance.choice(keys)
        before, lines = tomllib.loads(text), text.split("\n")
        text = (
            without(text, path)
            if chance.random() < 0.4
            else with_value(text, path, chance.choice(values))
        )
        after, kept = tomllib.loads(text), iter(text.split("\n"))
        named = (f"{path[-1]} =", "  ", "]", "make", "test")  # the lines of values in TEXT
        assert all(line in kept for line in lines if not line.startswith(named))
        for table in (before, after):
            table.setdefault("roles", {})
            (table if len(path) == 1 else table["roles"]).pop(path[-1], None)
        assert before == after
    assert [
        line for line in text.split("\n") if line.startswith("# ") and line in comments
    ] == comments

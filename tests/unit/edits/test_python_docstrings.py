"""What a model leaves out of a file that it writes anew, and adds, is no part of a change."""

from __future__ import annotations

import ast
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.edits.python_docstrings import speaks_of_prose, with_prose_of

OLD = dedent('''\
    #!/usr/bin/env python
    # Licence: MIT
    """One piece of work."""

    from dataclasses import dataclass


    @dataclass
    class Work:
        """What was done.

        On a day.
        """

        minutes: int  # without the pause

        @property
        def hours(self) -> float:
            """Of an hour, parts."""
            return self.minutes / 60
''')

ANEW = dedent("""\
    # Step 1: add the property
    # It tells whether it is over eight hours.

    from dataclasses import dataclass


    @dataclass
    class Work:
        minutes: int

        @property
        def hours(self) -> float:
            return self.minutes / 60

        @property
        def overtime(self) -> bool:
            # Eight hours.
            return self.minutes > 480

    # Step 2: run the tests
    # They should pass.
""")


def test_docstrings_stay_and_thoughts_go() -> None:
    more = """
    @property
    def overtime(self) -> bool:
        # Eight hours.
        return self.minutes > 480
"""
    expected = OLD.replace("  # without the pause", "") + more
    assert with_prose_of(OLD, ANEW) == expected


def test_what_was_only_documented_less_is_no_change() -> None:
    less = "from dataclasses import dataclass\n\n\n" + OLD.split("dataclass\n\n\n")[1]
    assert with_prose_of(OLD, less) == OLD


def test_docstrings_and_comments_of_the_new_file_stay() -> None:
    new = OLD.replace("One piece", "Each piece").replace("Of an hour, parts.", "Hours.")
    assert with_prose_of(OLD, new) == new
    assert with_prose_of(new, OLD) == OLD
    ending = OLD + "\n# vim: ts=4\n"
    assert with_prose_of(ending, ending.replace("60", "61")) == ending.replace("60", "61")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("def f(): pass\n", "def f( : pass\n"),  # no Python
        ("<p>", "x = 1\n"),
        ("", "x = 1\n"),
        ('def f():\n    """A."""\n    return 1\n', "def f(): return 1\n"),  # no room for it
        ('def f(): "A."; return 1\n', "def f():\n    return 1\n"),
        ('class A:\n    """A."""\n', "def A():\n\treturn 1\n"),
    ],
)
def test_where_it_is_not_clear_the_new_file_is_as_it_is(old: str, new: str) -> None:
    assert with_prose_of(old, new) == new


def test_a_new_file_of_comments_alone_is_not_emptied() -> None:
    assert with_prose_of("x = 1\n", "# nothing\n") in ("# nothing\n", "\n")


def test_a_request_about_prose_is_the_models() -> None:
    assert speaks_of_prose("remove the docstrings")
    assert speaks_of_prose("document the class")
    assert speaks_of_prose("add a comment to total")
    assert speaks_of_prose("add the MIT licence header to calc.py")
    assert speaks_of_prose("put an SPDX line and a copyright on top")
    assert speaks_of_prose("give it a shebang")
    assert not speaks_of_prose("fix the failing test")


_STATEMENTS = st.sampled_from(
    [
        '"""Said."""',
        "# A thought.",
        "x = 1",
        "",
        'def f():\n    """Said of f."""\n    return x',
        "def f():\n    return x",
        "@d\ndef f():\n    @g\n    def h():\n        pass\n    return h",
        '@d\ndef f():\n    """Two\n\n    lines."""\n    @g\n    def h():\n        """H."""',
        "class A:\n    def f(self):\n        pass",
        'class A:\n    """A."""\n\n    # Near.\n    def f(self):\n        """Of A."""',
        's = """\n# no comment\n"""',
    ]
)
_FILES = st.lists(_STATEMENTS, max_size=6).map(lambda parts: "\n".join(parts) + "\n")


@given(old=_FILES, new=_FILES)
def test_the_code_is_the_models_and_no_docstring_is_lost(old: str, new: str) -> None:
    found = with_prose_of(old, new)
    assert _code(found) == _code(new)
    assert with_prose_of(old, found) == found
    if ast.get_docstring(ast.parse(old)) and ast.parse(new).body:
        assert ast.get_docstring(ast.parse(found))


def _code(text: str) -> list[str]:
    """Statements, without docstrings."""
    tree = ast.parse(text)
    return [
        type(node).__name__
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt)
        and not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    ]

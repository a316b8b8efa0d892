"""Replacing definitions in Python files."""

from __future__ import annotations

import ast
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.core.errors import EditError
from localagent.edits.python_definitions import definitions
from localagent.edits.python_edits import add_definitions, add_methods, replace_function

FILE = '''\
#!/usr/bin/env python
"""A module."""

import os
from typing import overload


# before area
@decorated
def area(r):  # trailing
    return 3 * r


class Stack:
    """A stack."""

    size = 0

    def push(self, item):
        self.items.append(item)
        # the end of push

    @property
    def top(self):
        return self.items[-1]

    async def drain(self):
        def inner():
            return 1
        return inner()


if os.name == "posix":
    def where():
        return "here"
'''


def replaced(name: str, code: str, text: str = FILE) -> str:
    return replace_function(text, name, textwrap.dedent(code))


def test_function_with_decorator() -> None:
    after = replaced("area", "def area(r):\n    return 3.14 * r\n")
    assert after == FILE.replace(
        "@decorated\ndef area(r):  # trailing\n    return 3 * r",
        "def area(r):\n    return 3.14 * r",
    )


@pytest.mark.parametrize("name", ["Stack.push", "push", "def push(self, item):", "mod.Stack.push"])
@pytest.mark.parametrize("lead", ["", "    ", "\t"])
def test_method_is_indented(name: str, lead: str) -> None:
    code = textwrap.indent("def push(self, item):\n    x = 1\n    return x\n", lead)
    after = replace_function(FILE, name, code)
    assert after == FILE.replace(
        "        self.items.append(item)\n", "        x = 1\n        return x\n"
    )


def test_method_sent_as_a_class_with_a_new_method_and_a_usage_example() -> None:
    after = replaced(
        "Stack.push",
        """
        import json
        import os

        LIMIT = 3


        def clamp(x):
            return min(x, LIMIT)

        class Stack:
            def __init__(self): pass
            def push(self, item):
                self.items.append(clamp(json.loads(item)))
            def top(self):
                return "not asked for"

        if __name__ == "__main__":
            Stack().push("1")
        print("example")
        """,
    )
    tree = ast.parse(after)
    assert "import os\nfrom typing import overload\nimport json\n" in after
    assert after.count("import os") == 1
    assert "LIMIT = 3\n\n\ndef clamp(x):\n    return min(x, LIMIT)\n\n\nclass Stack:" in after
    assert "self.items.append(clamp(json.loads(item)))" in after
    assert "not asked for" not in after
    assert "example" not in after
    assert "__init__" in [f.node.name for f in definitions(after)]
    assert tree


def test_bare_methods_go_into_the_class() -> None:
    after = replaced(
        "push",
        "def push(self, item):\n    self._check(item)\n\ndef _check(self, item):\n    pass\n",
    )
    names = [f.name for f in definitions(after)]
    assert names[1:4] == ["Stack", "Stack.push", "Stack._check"]


def test_helpers_stay_out_of_a_conditional_block() -> None:
    after = replaced("where", "def helper():\n    return 2\n\ndef where():\n    return helper()\n")
    assert (
        '\n\ndef helper():\n    return 2\n\n\nif os.name == "posix":\n    def where():\n' in after
    )


def test_nested_and_async() -> None:
    after = replaced("drain.inner", "def inner():\n    return 2\n")
    assert after == FILE.replace("            return 1\n", "            return 2\n")
    after = replaced("drain", "async def drain(self):\n    return 3\n")
    assert "    async def drain(self):\n        return 3\n" in after


def test_a_class() -> None:
    after = replaced("Stack", "class Stack:\n    pass\n")
    assert "class Stack:\n    pass\n\n\nif os.name" in after


def test_strings_keep_their_lines_and_docstrings_move() -> None:
    code = 'def push(self):\n    """Doc.\n\n    More.\n    """\n    return f"""a\n  b\n{1}"""\n'
    after = replace_function(FILE, "Stack.push", code)
    assert '        """Doc.\n\n        More.\n        """\n' in after
    assert 'return f"""a\n  b\n{1}"""\n' in after


def test_units_of_indentation() -> None:
    tabs = "class A:\n\tdef f(self):\n\t\treturn 1\n\n\tdef g(self):\n\t\treturn 2\n"
    after = replace_function(tabs, "f", "def f(self):\n    if 1:\n        return 2\n")
    assert "\tdef f(self):\n\t\tif 1:\n\t\t\treturn 2\n" in after
    two = "class A:\n  def f(self):\n    return 1\n"
    after = replace_function(two, "f", "    def f(self):\n        if 1:\n            return 2\n")
    assert after == "class A:\n  def f(self):\n    if 1:\n      return 2\n"


def test_form_feeds_and_other_line_ends_that_python_does_not_know() -> None:
    text = "x = 'a\x0cb\u2028c'\n\x0c\ndef f():\n    return 1\n"
    assert replace_function(text, "f", "def f():\n    return 2\n") == text.replace("n 1", "n 2")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "import re\n\n"),
        ('"""Doc."""\n', '"""Doc."""\n\nimport re\n\n'),
        ("#!/bin/x\n", "#!/bin/x\n\nimport re\n\n"),
        ("# licence\n\n", "# licence\n\nimport re\n\n"),
        ("import os\n", "import os\nimport re\n"),
        ("from __future__ import annotations\n", "from __future__ import annotations\nimport re\n"),
    ],
)
def test_where_imports_go(before: str, after: str) -> None:
    function = "def f():\n    return 1\n"
    code = "import re\n\ndef f():\n    return 2\n"
    got = replace_function(before + function, "f", code)
    assert got == after + function.replace("1", "2")


def test_future_imports_come_first() -> None:
    code = "from __future__ import annotations\nimport re\ndef f():\n    return 2\n"
    got = replace_function('"""D."""\nimport os\ndef f(): return 1\n', "f", code)
    assert got.startswith('"""D."""\nfrom __future__ import annotations\nimport os\nimport re\n')


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("pusj", "def pusj(): pass", r"defines no pusj; it has area, Stack, Stack.push"),
        ("push", "def pop(self): pass", r"whole definition of Stack.push; the code has pop"),
        ("push", "self.items.append(1)", "the code has no definition"),
        ("push", "def push(self:", "the code does not parse: line 1"),
        ("push", "", "no definition"),
        ("push", "def push(self):\n    # ... existing code ...\n    pass", "omitted code"),
        ("Stack", "def Stack(): pass", "whole definition of Stack"),
        ("area", "class A:\n    def area(self): pass", "whole definition"),
        ("1x", "", "not the name"),
        ("area", "@decorated\ndef area(r):  # trailing\n    return 3 * r\n", "changes nothing"),
    ],
)
def test_refused(name: str, code: str, message: str) -> None:
    with pytest.raises(EditError, match=message):
        replace_function(FILE, name, code)


def test_a_file_that_does_not_parse() -> None:
    with pytest.raises(EditError, match="the file does not parse: line 2"):
        replace_function("x = 1\ndef f(:\n", "f", "def f(): pass")


def test_defined_twice() -> None:
    text = "class A:\n    def f(self): pass\nclass B:\n    def f(self): pass\n"
    with pytest.raises(EditError, match=r"2 times \(A.f in line 2, B.f in line 4\)"):
        replace_function(text, "f", "def f(self): return 1")
    assert replace_function(text, "B.f", "def f(self): return 1").count("return 1") == 1


def test_overloads_are_not_the_definition() -> None:
    text = "@overload\ndef f(x: int): ...\n@overload\ndef f(x: str): ...\ndef f(x): return x\n"
    after = replace_function(text, "f", "def f(x): return 2")
    assert after == text.replace("return x", "return 2")


bodies = st.sampled_from(
    [
        "return 1",
        "x = '''a\n b\n'''\nreturn x",
        '"""Doc.\n\nMore.\n"""\nreturn (1,\n  2)',
        "if a:\n    return 1\nelse:\n    pass\n# end",
        "def inner():\n    return '''\n'''\nreturn inner",
        "x = ('a'\n     'b')\ny = f'''{x}\n  z'''\nreturn x, y",
    ]
)


@st.composite
def modules(draw: st.DrawFn) -> str:
    """A module of functions f0…, some of them methods, each of a random body."""
    unit = draw(st.sampled_from(["    ", "  ", "\t"]))
    parts = []
    for n in range(draw(st.integers(1, 4))):
        body = draw(bodies)
        function = f"@deco\ndef f{n}(self):\n" if draw(st.booleans()) else f"def f{n}(self):\n"
        function += _indented(body, unit) + "\n"
        if draw(st.booleans()):
            function = f"class C{n}:\n" + _indented(function, unit)
        parts.append(function)
    return draw(st.sampled_from(["", "import os\n", '"""Doc."""\n'])) + "\n\n".join(parts)


def _indented(text: str, unit: str) -> str:
    """Indent code, but not what begins inside a string."""
    inside, result = False, []
    for line in text.split("\n"):
        result.append(line if inside or not line else unit + line)
        if line.count("'''") % 2:
            inside = not inside
    return "\n".join(result)


@given(modules(), bodies, st.sampled_from(["", "    ", "\t"]), st.data())
def test_only_the_named_definition_changes(
    text: str, body: str, lead: str, data: st.DataObject
) -> None:
    before = {f.name: f for f in definitions(text)}
    name = data.draw(st.sampled_from([n for n in before if n.split(".")[-1].startswith("f")]))
    code = f"def {name.split('.')[-1]}(self, new):\n" + _indented(body, "    ")
    try:
        after = replace_function(text, name, _indented(code, lead))
    except EditError as error:
        assert "'''" in code  # a string at the margin inside indented code
        assert "parse" in error.message or "nothing" in error.message
        return
    now = {f.name: f for f in definitions(after)}
    expected = ast.parse(code).body[0]
    assert _dump(now[name].node) == _dump(expected)
    for other, found in before.items():
        if not (other + ".").startswith(name + ".") and not (name + ".").startswith(other + "."):
            assert _dump(now[other].node) == _dump(found.node)


def _dump(node: ast.AST) -> str:
    """The tree without positions, docstrings cleaned, for their indentation follows the code."""
    copy = ast.parse(ast.unparse(node))
    for child in ast.walk(copy):
        if isinstance(child, ast.FunctionDef) and ast.get_docstring(child) is not None:
            child.body[0] = ast.Expr(ast.Constant(ast.get_docstring(child)))
    return ast.dump(copy)


def test_definitions_are_added_at_the_end() -> None:
    text = "import os\n\n\ndef a():\n    return 1\n"
    code = (
        "import csv\nimport os\n\ndef b():\n    return csv, os\n\nLIMIT = 3\n\ndef a():\n    pass\n"
    )
    added = "\n\ndef b():\n    return csv, os\n\n\nLIMIT = 3\n"
    assert add_definitions(text, code) == text.replace("os\n", "os\nimport csv\n", 1) + added


def test_definitions_are_added_before_what_is_run() -> None:
    run = 'if __name__ == "__main__":\n    a()\n'
    text = f"def a():\n    return 1\n\n\n{run}"
    added = "def b():\n    return 2\n"
    assert add_definitions(text, added) == f"def a():\n    return 1\n\n\n{added}\n\n{run}"
    assert add_definitions("", added) == added


def test_methods_are_added_at_the_end_of_their_class() -> None:
    text = "class A:\n\tdef a(self):\n\t\treturn 1\n\n\ndef b(): ...\n"
    code = "import csv\n\n@property\ndef c(self):\n    return csv\n\ndef a(self): ...\n"
    method = "\n\t@property\n\tdef c(self):\n\t\treturn csv\n"
    added = text.replace("return 1\n", f"return 1\n{method}")
    assert add_methods(text, "A", code) == f"import csv\n\n{added}"
    for owner, code, fault in [
        ("A", "def a(self): ...", "no new method of A"),
        ("b", "def c(self): ...", "b is no class"),
        ("C", "def c(self): ...", "defines no C"),
        ("A", "def c(self:", "does not parse"),
    ]:
        with pytest.raises(EditError, match=fault):
            add_methods(text, owner, code)


def test_only_what_is_new_is_added() -> None:
    with pytest.raises(EditError, match="defines nothing new"):
        add_definitions("def a():\n    return 1\n", "def a():\n    return 2\n")
    with pytest.raises(EditError, match="does not parse"):
        add_definitions("x = 1\n", "def b(:\n")

"""Small changes of one line: what is tried, and that nothing else is touched."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localagent.agent.checks.failure_messages import ONE_TOO_MANY, Edit
from localagent.agent.repair.hints import Expected, Hints
from localagent.agent.repair.mutations import all_mutations, guided_mutations, mutations

LOOKUP_FAILS = Hints(failing_lookups=frozenset({2}))


def changed(line: str, before: str = "def f(a, b, items):") -> list[str]:
    text = f"{before}\n    {line}\n"
    return [new.splitlines()[1].strip() for new in mutations(text, 2)]


@pytest.mark.parametrize(
    ("slip", "mended"),
    [
        ("return a - b", "return a + b"),
        ("return b - a", "return a - b"),
        ("return a < b", "return a <= b"),
        ("return a not in items", "return a in items"),
        ("return a is  not None", "return a is None"),
        ("return a and b", "return a or b"),
        ("return not a", "return a"),
        ("return items[0]", "return items[-1]"),
        ("return items[-1]", "return items[0]"),
        ("return items[a]", "return items[a - 1]"),
        ("return items[: a + 1]", "return items[: a]"),
        ("return range(a)", "return range(a + 1)"),
        ("return range(a)", "return range(1, a)"),
        ("return min(a, b)", "return max(a, b)"),
        ("return pow(a, b)", "return pow(b, a)"),
        ("return a if b else items", "return items if b else a"),
        ("return a * 2", "return a * 3"),
        ("return f(a)", "return f(b)"),
        ("a += b", "a -= b"),
        ("items.append(a)", "items.extend(a)"),
        ("return sorted(items)", "return sorted(items, reverse=True)"),
        ("return sum(items)", "return sum(items.values())"),
        ("return isinstance(a, list)", "return isinstance(a, (list, tuple))"),
        ("return isinstance(a, (list, str))", "return isinstance(a, list)"),
        ('return re.match(r"[0-9]+.[0-9]+", a)', r'return re.match(r"[0-9]+\.[0-9]+", a)'),
        ('return re.match("a.b", a)', r'return re.match("a\\.b", a)'),
        (r'return re.match(r"\d+", a)', r'return re.match(r"\d+\Z", a)'),
        ('return re.match(r"a+", a)', r'return re.match(r"a+?", a)'),
        ("return re.match(a, b)", "return re.fullmatch(a, b)"),
        ("if a: pass", "if not a: pass"),
        ("while a and b: pass", "while a or b: pass"),
        ("return True", "return False"),
        ('return f"the {items[-1]} was"', 'return f"the {items[0]} was"'),
        ('return "é" + f"{{é}} {a}"', 'return "é" + f"{{é}} {b}"'),
        ("return 1 < a < b", "return 1 < a <= b"),
        ("raise ValueError(a)", "raise TypeError(a)"),
        ("return a > b", "return a != b"),
        ("return a & b", "return a | b"),
        ("return a == b", "return a.strip() == b"),
        ("if a: pass", "if a is not None: pass"),
        ("if not a: pass", "if a is None: pass"),
        ("if a is None: pass", "if not a: pass"),
        ("if a: pass", "if a and not b: pass"),
        ("return a or b", "return a if a is not None else b"),
        ("return a and b and items", "return a and items"),
        ("x = f(a)", "x = tuple(f(a))"),
        ("x = a[:-1]", "x = a[1:]"),
        ("return g(a, b, items)", "return g(a, items, b)"),
        ("return g(a, b, items)", "return g(a, b)"),
        ("return a.strip()", "return a"),
        ("items.append(a)", "pass"),
        ("for x in items: pass", "for x in reversed(items): pass"),
        ("return a", "return f(a)"),
        ("g(a, 2)", "g(a, 6)"),
        ("return a", "if not a: return None"),
        ("return a + b", "return a"),
        ("if a and items: pass", "if not b: pass"),
        ("return a.name + str(a)", "return a.name + str(a.name)"),
        ("return {'x': a}", "return {'x': f(a)}"),
        ("x = g(a.values(), b)", "x = g(a.values(), b.values())"),
    ],
)
def test_common_slips_are_mended(slip: str, mended: str) -> None:
    assert mended in changed(slip)


@pytest.mark.parametrize(
    ("line", "mended"),
    [
        ('return a + " " + b', 'return a + "-" + b'),
        ('return f"{a} {b}"', 'return f"{a}-{b}"'),
        ('return "é" + " "', 'return "é" + "-"'),
    ],
)
def test_what_a_test_expected_in_a_text_is_tried_first(line: str, mended: str) -> None:
    new = mutations(f"def f(a, b):\n    {line}\n", 2, Hints(edits=((" ", "-"),)))
    assert new[0].splitlines()[1].strip() == mended


def test_what_is_looked_up_may_have_to_be_worked_out() -> None:
    new = changed("return words[n // 10] + f(n % 10)", "def f(n):")
    assert new[0] == "return f(n // 10) + f(n % 10)"
    assert "return f(n // 10)" not in changed("return words[n // 10]", "def f(n):")


@pytest.mark.parametrize(
    ("line", "mended"),
    [
        ('return a + (b if b else "")', 'return a + ("-" + b if b else "")'),
        ("return a + b", 'return a + "-" + b'),
        ('return "".join([a, b])', 'return "-".join([a, b])'),
        ('return f"{a}{b}"', 'return f"{a}-{b}"'),
        ("return a", 'return a + "-"'),
    ],
)
def test_what_is_missing_is_put_in_where_texts_are_joined(line: str, mended: str) -> None:
    text = f"def f(a, b):\n    {line}\n"
    new = guided_mutations(text, [2], Hints((("", "-"),)))
    assert new[0].splitlines()[1].strip() == mended
    assert new[0] == mutations(text, 2, Hints((("", "-"),)))[0]


@pytest.mark.parametrize(
    ("line", "edit", "mended"),
    [
        ("return a + b", ("-", ""), 'return (a + b).removesuffix("-")'),
        ("return a", ("\n", ""), "return a.removesuffix('\\n')"),
        ("return items", ONE_TOO_MANY, "return items[:-1]"),
        ('return f"{a}"', ("-", ""), 'return f"{a}".removesuffix("-")'),
    ],
)
def test_what_is_too_much_is_taken_off(line: str, edit: Edit, mended: str) -> None:
    new = guided_mutations(f"def f(a, b, items):\n    {line}\n", [2], Hints((edit,)))
    assert new[0].splitlines()[1].strip() == mended


def test_a_text_that_misses_its_end_is_tried_after_the_joints() -> None:
    text = 'def f(a):\n    return {1: "one"}[a] + " tail"\n'
    new = guided_mutations(text, [2], Hints((("", "-"), ("one", "one-"))))
    assert '"one"}[a] + "-" + " tail"' in new[0] and any('"one-"' in one for one in new[1:])


def test_a_lookup_that_fails_is_worked_out_also_with_others_on_its_line() -> None:
    text = "def f(n):\n    return words[n // 10] + words[n]\n"
    found = [one.splitlines()[1].strip() for one in guided_mutations(text, [2], LOOKUP_FAILS)]
    assert found[:3] == [
        "return f(n // 10) + words[n]",
        "return words[n // 10] + f(n)",
        "return f(n // 10) + f(n)",
    ]
    assert guided_mutations(text, [2], Hints()) == []
    assert not any(
        "f(n // 10)" in one
        for one in guided_mutations(text.replace("(n)", "(n, m)"), [2], LOOKUP_FAILS)
    )
    method = "class C:\n    def f(self):\n        return self.a[n]\n"
    assert not any(
        "return f(n)" in one
        for one in guided_mutations(method, [3], Hints(failing_lookups=frozenset({3})))
    )


def test_a_lookup_that_fails_may_have_to_give_nothing() -> None:
    new = [
        one.splitlines()[1].strip()
        for one in guided_mutations("def f(a, b):\n    x = a[b]\n", [2], LOOKUP_FAILS)
    ]
    assert new == ['x = (a[b] if b < len(a) else "")', 'x = a.get(b, "")']


def test_lines_inside_blocks() -> None:
    lines = [
        "class C:",
        "    def f(self, a):",
        "        for x in a:",
        "            try:",
        "                x = self.g(x)",
        "            except ValueError:",
        "                continue",
        "            self.b = x",
        "        return a",
        "    def g(self, a):",
        "        return self.b",
    ]

    def new_lines(number: int) -> list[str]:
        texts = mutations("\n".join(lines) + "\n", number)
        return [text.split("\n")[number - 1] for text in texts]

    assert "            except (ValueError, OverflowError):" in new_lines(6)
    assert "        self.b = x" in new_lines(8), "after the loop"
    assert "            if not x: continue" in new_lines(8)
    assert "        return self.g(a)" in new_lines(9)
    assert "        for x in a[1:]:" in new_lines(3)
    assert "                x = self.b(x)" in new_lines(5)


def inserted(text: str, line: int, hints: Hints) -> list[str]:
    """The changed texts without what stands before and after the line."""
    before, after = text.splitlines()[: line - 1], text.splitlines()[line:]
    news = [new.splitlines() for new in mutations(text, line, hints)]
    return ["\n".join(new[len(before) : len(new) - len(after)]) for new in news]


def test_an_expected_exception_is_raised_by_a_guard() -> None:
    text = "def f(a, b):\n    return g(\n        a)\n"
    new = inserted(text, 2, Hints(expected=(Expected("TypeError", "must be text"),)))
    guard = "    if not isinstance(a, str):\n        raise TypeError('must be text')\n    return g("
    assert guard in new
    assert guard.replace("not isinstance(a, str)", "b is None") in new[:8]
    other = inserted(text, 2, Hints(expected=(Expected("Missing", ""),)))
    assert "    if a is None:\n        raise ValueError('invalid value')\n    return g(" in other
    assert not any("raise" in one for one in inserted(text, 2, Hints()))


def test_an_assert_becomes_the_expected_exception() -> None:
    text = "def f(self):\n    assert not self.done\n"
    new = inserted(text, 2, Hints(expected=(Expected("RuntimeError", "done already"),)))
    raising = "    if not (not self.done):\n        raise RuntimeError('done already')"
    assert raising + "\n    assert not self.done" in new[:8]


def test_an_exception_of_a_test_is_handled() -> None:
    text = "def f(a):\n    for x in a:\n        y = int(x)\n        print(y)\n"
    new = inserted(text, 3, Hints(raised={3: "ValueError"}))
    indent = " " * 8
    head = f"{indent}try:\n{indent}    y = int(x)\n{indent}except ValueError:\n{indent}    "
    assert head + "y = None" in new and head + "continue" in new
    assert not any("try:" in one for one in inserted(text, 4, Hints(raised={3: "ValueError"})))


def test_an_argument_of_another_call_is_added() -> None:
    others = "def g():\n    warn('x', level=2)\n    warn('y', where=unknown())\n"
    text = f"def f(a):\n    warn(a)\n\n{others}"
    new = inserted(text, 2, Hints())
    assert "    warn(a, level=2)" in new and not any("where" in one for one in new)


@pytest.mark.parametrize(
    ("text", "line", "hints", "expected"),
    [
        ("def f(a, b):\n    return g(a)\n", 2, Hints(), "    return g(a, b=b)"),
        ("def f(a):\n    b = g(a)\n    return None\n", 3, Hints(), "    return bytes(b)"),
        ("def f(a):\n    return next(a)\n", 2, Hints(), "    return next(a, None)"),
        ("def f(a):\n    g(a)\n\ndef h(b): g(b, int)\n", 2, Hints(), "    g(a, int)"),
        ("def f(a):\n    return a == 7\n\nLIMIT = 4711\n", 2, Hints(), "    return a == 4711"),
        (
            "def f(a):\n    return a.sub('x')\n\ndef g(b): return b.startswith('y')\n",
            2,
            Hints(raised={2: "AttributeError"}),
            "    return a.startswith('x')",
        ),
        (
            "class C:\n    def debug(self):\n        return self.log.debug\n\n"
            "    def level(self):\n        return None\n",
            6,
            Hints(),
            "        return self.log.level",
        ),
    ],
)
def test_what_the_file_offers_is_reused(text: str, line: int, hints: Hints, expected: str) -> None:
    assert expected in inserted(text, line, hints)


def test_a_statement_of_a_similar_function_is_inserted() -> None:
    text = (
        "def set_edges(graph, edges):\n    if not edges:\n        return\n"
        "    graph.edges = edges\n    clear_cache(graph)\n    log(edges, other)\n\n"
        "def remove_edges(graph, edges):\n    del graph.edges\n\n"
        "def clear_cache(graph): pass\n"
    )
    new = inserted(text, 9, Hints())
    assert "    clear_cache(graph)\n    del graph.edges" in new
    assert "    if not edges:\n        return\n    del graph.edges" in new
    assert not any("other" in one for one in new), "the name is unknown here"


def test_all_lines_take_turns() -> None:
    text = "def f(a, b):\n    c = a < b\n    d = a > b\n    return c == d\n"
    found = list(all_mutations(text, {3: 0, 2: 0, 4: 2}))
    firsts = [
        next(n for n in (2, 3, 4) if one.split("\n")[n - 1] != text.split("\n")[n - 1])
        for one in found
    ]
    assert firsts[:7] == [3, 2, 3, 2, 3, 2, 4]
    assert len(set(found)) == len(found)
    assert sorted(found) == sorted(new for n in (2, 3, 4) for new in mutations(text, n))


def test_what_is_around_stays_as_it_was_written() -> None:
    new = changed("return ( a  <b )and  'x' == f( a,b )  # why")
    assert "return ( a  <=b )and  'x' == f( a,b )  # why" in new
    assert "return ( a  <b )or  'x' == f( a,b )  # why" in new


def test_the_likeliest_come_first() -> None:
    new = changed("return items[a - 1] < b")
    assert new[0] == "return items[a - 1] <= b"
    assert new.index("return items[a] < b") < new.index("return items[b - 1] < b")


@pytest.mark.parametrize("text", ["", "def f(:\n", "x = (\n  1,\n)\n", "\f\nx = 1\n", "\0"])
def test_nothing_where_nothing_can_be(text: str) -> None:
    assert mutations(text, 1) == []
    assert mutations(text, 99) == []


SOURCES = [
    ast.unparse(ast.parse(text))
    for text in (
        "def f(a, *b, c=1):\n    for i in range(len(b)):\n        if b[i] > a and not c:\n"
        "            a += b[i - 1] * (c - i)\n    return f'{a:>3} {b[0]!r}' if a else sorted(b)",
        "class C:\n    def m(self, x):\n        while x and x != 3: x = x[1:-1]\n        return -x",
    )
]


@given(st.sampled_from(SOURCES), st.integers(1, 8), st.sampled_from(["\n", "\r\n"]))
def test_each_parses_and_differs_in_its_line_alone(text: str, line: int, end: str) -> None:
    old = text.replace("\n", end)
    new = mutations(old, line)
    assert len(set(new)) == len(new)
    for one in new:
        ast.parse(one)
        before, after = old.splitlines(True), one.splitlines(True)
        added = len(after) - len(before)
        assert 0 <= added <= 4, "a guard, a handler or another statement adds lines"
        assert (after[: line - 1], after[line + added :]) == (before[: line - 1], before[line:])

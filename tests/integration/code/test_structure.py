"""Definitions, calls and imports of each language, read from real text with its grammar."""

# ruff: noqa: E501 - samples are shown as they are

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from localagent.code.languages import LANGUAGES, UNKNOWN, fence_info, language_by_name, language_of
from localagent.code.structure import structure

SAMPLES: dict[str, tuple[str, str, str, str]] = {
    "objective-c": (
        "#include <x.h>\nstatic int add(int a) {\n  return total(a);\n}\n",
        "function add 2-4",
        "total",
        "x.h",
    ),
    "svelte": (
        "<p>{f(1)}</p>\n<script>\n  import { a } from './a'\n  function f(x) { return g(x) }\n</script>\n",
        "function f 4-4",
        "g",
        "./a",
    ),
    "vue": (
        "<template><b @click=\"go()\">é</b></template>\n<script setup lang=\"ts\">\n"
        "import x from 'x'\nfunction go(n: number) {\n  run(n)\n}\n</script>\n<style>a { b: c }</style>\n",
        "function go 4-6",
        "run",
        "x",
    ),
    "bash": (
        "source ./lib.sh\n# Builds it.\nbuild() {\n  make all\n}\nfunction clean { build; }\n",
        "function build 3-5, function clean 6-6",
        "source make build",
        "./lib.sh",
    ),
    "c": (
        '#include <x.h>\n#include "y.h"\n#define SQ(x) ((x)*(x))\ntypedef struct { int a; } pair;\n'
        "enum e { A };\nstatic char **find(int a)\n{\n  return p->get(SQ(a));\n}\nint only(int);\n",
        "macro SQ 3-3, struct pair 4-4, enum e 5-5, function find 6-9",
        "get SQ",
        "x.h y.h",
    ),
    "cpp": (
        '#include "a.h"\nnamespace shop {\nclass Cart : public Base {\n public:\n'
        "  int add(int x) { return total(x); }\n};\n}\nvoid shop::Cart::drop() { std::sort(x); }\n"
        "int &ref() { return *new Thing(); }\n",
        "module shop 2-7, class shop.Cart 3-6, method shop.Cart.add 5-5,"
        " method shop.Cart.drop 8-8, function ref 9-9",
        "total sort Thing",
        "a.h",
    ),
    "csharp": (
        "using System.Text;\nnamespace A {\n  public class Cart {\n    public int Add(int x) {\n"
        "      return Total(x) + new Item().Price();\n    }\n    public Cart() {}\n  }\n"
        "  interface IShape { }\n  enum E { A }\n  struct P { }\n}\n",
        "class Cart 3-8, method Cart.Add 4-6, method Cart.Cart 7-7, interface IShape 9-9,"
        " enum E 10-10, struct P 11-11",
        "Total Item Price",
        "System.Text",
    ),
    "css": (
        '@import "base.css";\n.btn { color: red; }\n@keyframes spin { }\n',
        "rule .btn 2-2, rule spin 3-3",
        "",
        "base.css",
    ),
    "elixir": (
        "defmodule Shop.Cart do\n  alias Shop.Item\n  def add(x) when x > 1 do\n    Item.price(x)\n"
        "  end\n  defp one(x), do: total(x)\nend\n",
        "module Shop.Cart 1-7, function Shop.Cart.add 3-5, function Shop.Cart.one 6-6",
        "price total",
        "Shop.Item",
    ),
    "go": (
        'package a\nimport (\n\t"fmt"\n\tm "a/b/c"\n)\n// Cart holds.\ntype Cart struct {\n\tx int\n}\n'
        "type Shape interface{}\ntype ID int\nfunc (c *Cart) Add(x int) error {\n"
        '\tfmt.Println("x")\n\treturn helper(Cart{x: 1})\n}\nfunc Total() int { return 1 }\n',
        "struct Cart 7-9, interface Shape 10-10, type ID 11-11, method Cart.Add 12-15,"
        " function Total 16-16",
        "Println helper Cart",
        "fmt a/b/c",
    ),
    "haskell": (
        "module A where\nimport Data.Map\ndata Cart = Empty\nclass Shape a where\n  area :: a -> Int\n"
        "add :: Int -> Int\nadd x = total x\n",
        "type Cart 3-3, interface Shape 4-5, function add 7-7",
        "total",
        "Data.Map",
    ),
    "java": (
        "import java.util.List;\npublic class Cart {\n  @Override\n  public int add(int x) {\n"
        "    return total(x) + new Item<A>(x).price();\n  }\n  Cart() {}\n}\ninterface Shape {}\n"
        "enum E { A }\nrecord P(int x) {}\n",
        "class Cart 2-8, method Cart.add 3-6, method Cart.Cart 7-7, interface Shape 9-9,"
        " enum E 10-10, class P 11-11",
        "total Item price",
        "java.util.List",
    ),
    "javascript": (
        'import {a} from "./lib.js";\nconst m = require("./mod");\nexport class Cart {\n'
        "  add(x) { return total(x); }\n  over = (x) => x;\n}\nexport const sum = (a, b) => a.plus(b);\n"
        "function* walk() {}\nmodule.exports.run = function () { new Cart(); };\nconst x = 3;\n",
        "class Cart 3-6, method Cart.add 4-4, method Cart.over 5-5, function sum 7-7,"
        " function walk 8-8, function run 9-9",
        "require total plus Cart",
        "./lib.js ./mod",
    ),
    "kotlin": (
        "import a.b.C\nclass Cart(val x: Int) {\n  fun add(x: Int): Int {\n    return y.total(x)\n  }\n}\n"
        "object One {}\nfun top() = make(1)\n",
        "class Cart 2-6, method Cart.add 3-5, class One 7-7, function top 8-8",
        "total make",
        "a.b.C",
    ),
    "lua": (
        'local m = require("a.b")\nlocal function add(x) return total(x) end\n'
        "function M:meth() self:foo() end\nM.f = function() m.g() end\n",
        "function add 2-2, method M.meth 3-3, method M.f 4-4",
        "require total foo g",
        "a.b",
    ),
    "php": (
        "<?php\nuse A\\C;\nfinal class Cart extends D {\n  public static function make(): self {\n"
        "    return new Item(total(1), $this->foo(2), X::bar());\n  }\n}\nfunction f() {}\n"
        "interface I {}\ntrait T {}\n",
        "class Cart 3-7, method Cart.make 4-6, function f 8-8, interface I 9-9, interface T 10-10",
        "Item total foo bar",
        "A\\C",
    ),
    "python": (
        "import os.path as p\nfrom a.b import c as d, e\nfrom . import f\n\n@wrapped\nclass Cart(Base):\n"
        '    """A cart."""\n    async def add(self, x):\n        def inner(): pass\n'
        "        return self.total(x) + Item()\n    # after\n\nif p:\n    def where(): pass\n",
        "class Cart 6-10, method Cart.add 8-10, function where 14-14",
        "wrapped total Item",
        "os.path a.b a.b.c a.b.e . .f",
    ),
    "ruby": (
        "require 'a/b'\nmodule Shop\n  class Cart < Base\n    def self.make; new(1); end\n"
        "    def empty?\n      total(x)\n    end\n  end\nend\n",
        "module Shop 2-9, class Shop.Cart 3-8, method Shop.Cart.make 4-4, method Shop.Cart.empty? 5-7",
        "require new total",
        "a/b",
    ),
    "rust": (
        "use a::b::C;\nmod inner;\n/// A cart.\n#[derive(Debug)]\npub struct Cart {}\nimpl Cart {\n"
        "    pub fn add(&self) -> u8 { helper(1) }\n}\nimpl<T> Shape for Cart {\n    fn area(&self) {}\n}\n"
        "trait Shape { fn area(&self); }\nenum E { A }\nmacro_rules! sq { () => {} }\n"
        "fn main() { a::run(); c.go(); println!(\"x\"); }\n",
        "struct Cart 5-5, impl Cart 6-8, method Cart.add 7-7, impl Cart 9-11, method Cart.area 10-10,"
        " interface Shape 12-12, method Shape.area 12-12, enum E 13-13, macro sq 14-14,"
        " function main 15-15",
        "helper run go println",
        "a::b::C inner",
    ),
    "scala": (
        "import a.b.{C, D}\nobject Cart {\n  def add(x: Int): Int = y.total(x)\n}\nclass A extends B\n"
        "trait T\n",
        "class Cart 2-4, method Cart.add 3-3, class A 5-5, interface T 6-6",
        "total",
        "a.b.{C, D}",
    ),
    "swift": (
        "import Foundation\nstruct Cart: P {\n  func add(x: Int) -> Int { return self.total(x) }\n"
        "  init() {}\n}\nprotocol P { func q() }\nextension Cart { func z() {} }\nclass K {}\n",
        "struct Cart 2-5, method Cart.add 3-3, method Cart.init 4-4, interface P 6-6, method P.q 6-6,"
        " impl Cart 7-7, method Cart.z 7-7, class K 8-8",
        "total",
        "Foundation",
    ),
    "toml": ("[a]\nx = 1\n[b.c]\n[[d]]\n", "table a 1-2, table b.c 3-3, table d 4-4", "", ""),
    "tsx": (
        'import a from "./a";\nexport const View = (p: P) => <Box x={p}><Inner /></Box>;\n'
        "interface P { x: number }\n",
        "function View 2-2, interface P 3-3",
        "Box Inner",
        "./a",
    ),
    "typescript": (
        'import { a } from "./a";\nexport default class Cart {\n  async add(x: T): Promise<T> {\n'
        "    return total(x);\n  }\n}\nexport interface Shape {}\nenum E { A }\ntype ID = string;\n"
        "export const sum = (a: number) => a;\n",
        "class Cart 2-6, method Cart.add 3-5, interface Shape 7-7, enum E 8-8, type ID 9-9,"
        " function sum 10-10",
        "total",
        "./a",
    ),
    "zig": (
        'const std = @import("std");\nconst P = struct {\n  pub fn add(self: P) i32 {\n'
        "    return self.total(1);\n  }\n};\nfn main() void { foo(1); }\n",
        "struct P 2-6, method P.add 3-5, function main 7-7",
        "total foo",
        "std",
    ),
}  # fmt: skip


@pytest.mark.parametrize("language", SAMPLES)
def test_what_a_file_is_made_of(language: str) -> None:
    text, definitions, calls, imports = SAMPLES[language]
    read = structure(language, text.encode())
    shown = [f"{d.kind} {d.name} {d.line}-{d.end_line}" for d in read.definitions]
    assert ", ".join(shown) == definitions
    assert " ".join(use.name for use in read.calls) == calls
    if language == "scala":  # its braces have blanks
        assert [use.name for use in read.imports] == [imports]
    else:
        assert " ".join(use.name for use in read.imports) == imports


def test_every_language_with_queries_has_a_sample() -> None:
    assert set(SAMPLES) == {one.name for one in LANGUAGES.values() if one.can("definitions")}
    assert len(SAMPLES) >= 20


@pytest.mark.parametrize(
    ("language", "text", "summary"),
    [
        ("python", 'def f():\n    """Count it.\n\n    More."""\n', "Count it."),
        ("python", "def f():\n    r'''Raw.'''\n", "Raw."),
        ("python", "# no\ndef f():\n    return 'x'\n", ""),
        ("go", "// F counts.\n// And more.\nfunc F() {}\n", "F counts."),
        ("javascript", "/**\n * Counts.\n * @returns x\n */\nexport function f() {}\n", "Counts."),
        ("rust", "/// Counts.\n#[inline]\npub fn f() {}\n", "Counts."),
        ("c", "int x;\n\n/* Counts. */\nint f(void) { return 1; }\n", "Counts."),
        ("c", "#include <x.h>\nint f(void) { return 1; }\n", ""),
        ("bash", "#!/bin/sh\nf() { :; }\n", ""),
    ],
)
def test_the_first_line_of_what_documents_it(language: str, text: str, summary: str) -> None:
    assert structure(language, text.encode()).definitions[0].summary == summary


def test_signatures() -> None:
    def first(language: str, text: str) -> str:
        return structure(language, text.encode()).definitions[0].signature

    assert first("python", "async def f(a,\n            b=1) -> int:\n    pass\n") == (
        "async def f(a, b=1) -> int"
    )
    assert (
        first("go", "func (c *Cart) Add(x int) error {\n}\n") == "func (c *Cart) Add(x int) error"
    )
    assert first("c", "static int *add(int a)\n{\n}\n") == "static int *add(int a)"
    assert first("rust", f"pub fn f({'a: u8, ' * 60}) {{}}\n").endswith("…")


def test_broken_code_gives_what_can_be_read() -> None:
    text = "func A() {\n}\n\nfunc B() {\n\tx(\n}\n\nfunc C() {\n\tD()\n}\n"
    names = [d.name for d in structure("go", text.encode()).definitions]
    assert "A" in names and "C" in names


@pytest.mark.parametrize("language", SAMPLES)
def test_deep_nesting_is_read(language: str) -> None:
    for mark in ("(", "[", "{", "a(", "{a:", "if x {\n"):
        structure(language, (mark * 20_000).encode())


@settings(deadline=None, max_examples=150)
@given(st.binary(max_size=200), st.sampled_from(sorted(SAMPLES)))
@example(b"\x80\t\x01", "bash")
def test_any_bytes_give_definitions_in_order(data: bytes, language: str) -> None:
    for text in (data, SAMPLES[language][0].encode()[: len(data)] + data):
        read = structure(language, text)
        places = [d.line for d in read.definitions]
        assert places == sorted(places)
        lines = text.count(b"\n") + 1
        assert all(1 <= d.line <= d.end_line <= lines for d in read.definitions)


def test_languages_by_name() -> None:
    assert language_of("a/B.TSX").name == "tsx"
    assert language_of("Makefile") is UNKNOWN and language_of("a/.py") is UNKNOWN
    assert language_by_name("C++").name == "cpp" and language_by_name(".py").name == "python"
    assert language_by_name("cobol") is UNKNOWN


def test_no_two_languages_claim_a_suffix_or_a_name() -> None:
    suffixes = [suffix for one in LANGUAGES.values() for suffix in one.suffixes]
    names = [name for one in LANGUAGES.values() for name in (one.name, *one.aliases)]
    assert len(set(suffixes)) == len(suffixes) and len(set(names)) == len(names)
    assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in suffixes)
    assert all(set(one.fenced) <= set(one.suffixes) for one in LANGUAGES.values())
    assert list(LANGUAGES) == sorted(LANGUAGES)


def test_capabilities_need_what_they_rest_on() -> None:
    for one in LANGUAGES.values():
        assert bool(one.queries) == one.can("definitions"), one.name
        assert one.grammar or not (one.can("definitions") or one.can("grammar_check")), one.name
    assert language_of("a.py").can("mutation") and not language_of("a.go").can("mutation")
    assert not UNKNOWN.can("definitions")


def test_only_measured_fences_carry_a_name() -> None:
    assert fence_info("a/B.PY") == "python" and fence_info("a.h") == "c"
    assert fence_info("a.pyi") == "" and fence_info("a.kt") == "" and fence_info("Makefile") == ""

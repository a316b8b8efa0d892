"""The places that an answer names, found in the code that its prompt holds."""

from __future__ import annotations

from localagent.agent.limits import LOOP
from localagent.agent.planners.sources import best_source, places, sources_of
from localagent.code.symbols import Symbol
from localagent.core.messages import Part

ASKED = "Are colors stripped?"
PARTS = (
    Part("…", "src/click/_compat.py", "a1", ((490, 513), (20, 20))),
    Part("a map without a path"),
    Part("…", "src/click/utils.py", "b2", ((330, 345),)),
)


def symbols(path: str) -> list[Symbol]:
    known = {
        "src/click/_compat.py": [("should_strip_ansi", 500), ("add", 491), ("outside_here", 600)],
        "src/click/utils.py": [("echo", 330), ("KeepOpenFile", 335), ("KeepOpenFile.close", 340)],
    }
    return [Symbol(name, "function", path, line, line + 5, "") for name, line in known[path]]


def lines(path: str) -> list[str]:
    code = ["def should_strip_ansi():", "    return not isatty(stream) and not _is_jupyter(stream)"]
    return ["", *[""] * 498, *code, *[""] * 20] if path.endswith("_compat.py") else [""] * 400


def test_the_code_that_is_read_is_named_with_its_lines() -> None:
    assert places(PARTS) == "src/click/_compat.py:490-513, 20; src/click/utils.py:330-345"
    many = [Part("…", f"{n}.py", "", ((1, 2),)) for n in range(LOOP.places + 3)]
    assert places(many).endswith(f"{LOOP.places - 1}.py:1-2 and 3 more files")
    assert places([Part("a map")]) == ""


def test_definitions_come_in_the_order_of_the_answer() -> None:
    answer = "echo() calls should_strip_ansi, unless a `KeepOpenFile` is given."
    assert sources_of(ASKED, answer, PARTS, symbols, lines) == [
        "src/click/utils.py:330 echo",
        "src/click/_compat.py:500 should_strip_ansi",
        "src/click/utils.py:335 KeepOpenFile",
    ]


def test_a_plain_word_and_code_that_was_not_read_are_no_sources() -> None:
    assert sources_of(ASKED, "To add a thing, see outside_here.", PARTS, symbols, lines) == []
    assert sources_of(ASKED, "`add` does it", PARTS, symbols, lines) == [
        "src/click/_compat.py:491 add"
    ]


def test_a_file_that_an_answer_names_has_its_best_definition_as_a_source() -> None:
    answer = "It is in _compat.py: look whether the stream is a tty."
    found = sources_of("Why?", answer, PARTS, symbols, lines)
    assert found == ["src/click/_compat.py:500 should_strip_ansi"]
    part = Part("…", "src/click/_compat.py", "a1", ((560, 570),))
    assert sources_of(ASKED, answer, [part], symbols, lines) == ["src/click/_compat.py:560"]


def test_a_definition_that_the_map_lists_is_a_source() -> None:
    listed = Part("Also in the project:\n`src/click/utils.py`: echo(message); class KeepOpenFile")
    answer = "`echo` does it, and close() of a `KeepOpenFile`."
    assert sources_of(ASKED, answer, [listed], symbols, lines) == [
        "src/click/utils.py:330 echo",
        "src/click/utils.py:335 KeepOpenFile",
    ]
    assert sources_of(ASKED, "It is in utils.py.", [listed], symbols, lines) == [
        "src/click/utils.py:330 echo"
    ]
    piped = Part("`etc/passwd`: echo")
    for said in (answer, "It is in passwd."):
        assert sources_of(ASKED, said, [piped], lambda _path: [], lines) == []


def test_of_definitions_of_one_name_the_one_in_the_file_that_the_answer_names_comes_first() -> None:
    parts = [Part("…", f"{name}.py", "a1", ((1, 9),)) for name in "ab"]
    found = sources_of(
        ASKED,
        "`run` in b.py",
        parts,
        lambda path: [Symbol("run", "function", path, 3, 5, "")],
        lambda _path: [""] * 9,
    )
    assert found == ["b.py:3 run", "a.py:3 run"]


def test_the_functions_that_share_most_words_with_question_and_answer_are_sources() -> None:
    answer = "Codes stay if the stream is a tty or a Jupyter kernel."
    asked = "When are ANSI codes stripped from a stream?"
    found = ["src/click/_compat.py:500 should_strip_ansi"]
    assert sources_of(asked, answer, PARTS, symbols, lines) == found
    assert sources_of("Why?", "It is so.", PARTS, symbols, lines) == []
    named = sources_of("Why?", f"In `should_strip_ansi`: {answer}", PARTS, symbols, lines)
    assert named == found


def test_sources_by_words_are_few_and_do_not_displace_those_that_are_named() -> None:
    code = ["def f(stream, codes, kernel):"] * 100
    many = [Symbol(f"name_{n}", "function", "a.py", n, n, "") for n in range(1, 9)]
    part = Part("…", "a.py", "a1", ((1, 50),))
    answer = "`name_7` and `name_8` read stream, codes and kernel."
    found = sources_of(ASKED, answer, [part], lambda _: many, lambda _: code)
    assert [text.rpartition("_")[2] for text in found[:2]] == ["7", "8"]
    assert len(found) <= 2 + LOOP.sources_by_words


def test_the_most_useful_excerpt_gives_its_best_definition_or_its_longest_span() -> None:
    assert best_source("Is the stream a tty?", PARTS[:1], symbols, lines) == [
        "src/click/_compat.py:500 should_strip_ansi"
    ]
    assert best_source(ASKED, PARTS, symbols, lines) == ["src/click/utils.py:330 echo"]
    assert best_source(ASKED, [Part("a map without a path")], symbols, lines) == []
    part = Part("…", "src/click/types.py", "c3", ((1, 20), (806, 857)))
    assert best_source(ASKED, [*PARTS, part], lambda _path: [], lines) == ["src/click/types.py:806"]
    assert sources_of(ASKED, "See types.py.", [part], lambda _path: [], lines) == [
        "src/click/types.py:806"
    ]

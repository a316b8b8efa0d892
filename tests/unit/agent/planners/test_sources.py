"""The places that an answer names, found in the code that its prompt holds."""

from __future__ import annotations

from localagent.agent.limits import LOOP
from localagent.agent.planners.sources import best_source, places, sources_of
from localagent.code.symbols import Symbol
from localagent.core.messages import Part

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
    assert sources_of(answer, PARTS, symbols, lines) == [
        "src/click/utils.py:330 echo",
        "src/click/_compat.py:500 should_strip_ansi",
        "src/click/utils.py:335 KeepOpenFile",
    ]


def test_a_plain_word_and_code_that_was_not_read_are_no_sources() -> None:
    assert sources_of("To add a thing, see outside_here.", PARTS, symbols, lines) == []
    assert sources_of("`add` does it", PARTS, symbols, lines) == ["src/click/_compat.py:491 add"]


def test_a_file_without_a_definition_is_named_by_its_first_excerpt() -> None:
    answer = "It is in _compat.py."
    assert sources_of(answer, PARTS, symbols, lines) == ["src/click/_compat.py:490"]


def test_a_definition_that_uses_the_names_of_an_answer_is_a_source() -> None:
    answer = "Codes stay if `isatty` or `_is_jupyter` is true."
    assert sources_of(answer, PARTS, symbols, lines) == [
        "src/click/_compat.py:500 should_strip_ansi"
    ]
    assert sources_of("Codes stay if `isatty` is true.", PARTS, symbols, lines) == []
    named = sources_of(f"In `should_strip_ansi`: {answer}", PARTS, symbols, lines)
    assert named == ["src/click/_compat.py:500 should_strip_ansi"]


def test_an_answer_that_names_nothing_has_the_longest_excerpt_and_not_the_imports() -> None:
    part = Part("…", "src/click/types.py", "c3", ((1, 20), (806, 857)))
    assert best_source([*PARTS, part]) == ["src/click/types.py:806"]
    assert sources_of("See types.py.", [part], lambda _path: [], lines) == [
        "src/click/types.py:806"
    ]

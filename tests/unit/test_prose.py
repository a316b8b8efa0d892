"""Prose is read once: no sentence over 30 words, and no turn of phrase that has to be read twice.

Docstrings, comments of several lines, the documentation and the README are held to it.
`python tests/unit/test_prose.py [FOLDER …]` prints what breaks the rule in these folders or files.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST_WORDS = 30
# Phrases that make a reader go back: passive "told", fronted objects, pronouns for things.
PHRASES = re.compile(
    r"\b(?:(?:is|are|was|were|be|been) told\b|told of|tells? of|of which|as far as|untold|"
    r"mend(?:s|ed|ing)?\b|of those of|what there is|the person\b|somebody|is no more than|"
    r"has to be (?:read|told)|further ones?\b|goes on from|at a look|brings about|stands back)",
    re.IGNORECASE,
)
FILES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", ".github/SECURITY.md")


def sentences(text: str) -> Iterator[str]:
    """The sentences of running text; code, tables and lists' markers are no part of them."""
    text = re.sub(r"```.*?```", "\n\n", text, flags=re.S)
    text = re.sub(r"(?m)^( {4,}\S.*|\|.*|#.*)$", "", text)
    for paragraph in re.split(r"\n\s*\n|\n\s*(?=[-*] |\d+\. )", text):
        flat = " ".join(paragraph.split())
        yield from re.split(r"(?<=[.!?:;])\s+(?=[A-Z`\"(\[*]|[a-z])", flat)


def words(sentence: str) -> int:
    bare = re.sub(r"`[^`]*`|\]\([^)]*\)", " x ", sentence)
    return len([word for word in bare.split() if re.search(r"\w", word)])


def texts_of_module(path: Path) -> Iterator[tuple[int, str]]:
    """Docstrings and comments, with their first line."""
    source = path.read_text(encoding="utf-8")
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        for item in body if isinstance(node, kinds) and isinstance(body, list) else []:
            if isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant):
                text = item.value.value
                if isinstance(text, str):
                    yield item.lineno, re.sub(r"(?m)^\s{4}(?=\S)", "", text)
    block: list[str] = []
    first = last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not token.line[: token.start[1]].strip():
            if block and token.start[0] != last + 1:
                yield first, " ".join(block)
                block = []
            first = token.start[0] if not block else first
            last = token.start[0]
            block.append(token.string.lstrip("# "))
    if block:
        yield first, " ".join(block)


def sources(folders: list[str]) -> Iterator[tuple[Path, int, str]]:
    package = ROOT / "localagent"
    places = [package / f for f in folders] if folders else [package, *map(ROOT.joinpath, FILES)]
    places = [p if p.exists() else ROOT / p.relative_to(package) for p in places]
    for place in places:
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            inside = path.relative_to(ROOT).parts
            if "sample" in inside or "prompts" in inside:
                continue
            if path.suffix == ".py":
                yield from ((path, line, text) for line, text in texts_of_module(path))
            elif path.suffix == ".md" and path.name != "cli.md":
                yield path, 1, path.read_text(encoding="utf-8")


def faults(folders: list[str]) -> list[str]:
    result = []
    for path, line, text in sources(folders):
        for sentence in sentences(text):
            where = f"{path.relative_to(ROOT)}:{line}"
            if (count := words(sentence)) > MOST_WORDS:
                result.append(f"{where}: {count} words: {sentence[:90]}…")
            elif phrase := PHRASES.search(sentence):
                result.append(f"{where}: {phrase[0]!r}: {sentence[:90]}")
    return result


def test_no_sentence_is_long_or_has_to_be_read_twice() -> None:
    assert faults([]) == []


def test_a_long_sentence_is_found() -> None:
    assert words(next(sentences("a " * 31 + "."))) == 31


if __name__ == "__main__":
    for fault in faults(sys.argv[1:]):
        sys.stdout.write(f"{fault}\n")

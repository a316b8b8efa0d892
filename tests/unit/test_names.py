"""Names are the field's terms: the words below name no module, class or function of the package.

`python tests/unit/test_names.py [FOLDER …]` prints what breaks the rule in these
folders of the package.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "localagent"
# Each word on the left has a better one: see CONTRIBUTING.md, "Words".
WORDS = frozenset(
    [
        *("door", "doors", "asking", "joining", "marks", "hide", "reveal", "learn"),
        *("told", "tell", "tells", "untold", "saw", "seen", "shows", "shown", "mend", "mended"),
        *("mends", "mending", "picture", "pictures", "put", "puts", "putting", "own", "near"),
        *("beside", "around", "look", "looks", "asked", "wanted", "found", "gone", "named"),
        *("written", "served", "planned", "kept", "begun", "brought", "notice", "notices"),
        *("notes", "standing", "story", "person", "somebody", "wish", "wishes", "fulfil"),
        *("neighbour", "neighbours", "patience", "border", "rooted"),
    ]
)
BRITISH = re.compile(
    r"localis|licenc|colour|tokenis|normalis|initialis|serialis|behaviour|neighbour|"
    r"catalogue|cancell(?!ed|ation|ing)|recognis|summaris|organis|optimis|quantis"
)


def words_of(name: str) -> list[str]:
    """The words of a name, in lower case: `TurnLog`, `turn_log` → turn, log."""
    return re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower())


def names_in(path: Path) -> Iterator[tuple[int, str, str]]:
    """Line, kind and name of the module itself and of each class and function in it."""
    if path.stem not in ("__init__", "__main__"):
        yield 1, "module", path.stem
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            yield node.lineno, "class", node.name
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.lineno, "function", node.name


def modules(folders: list[str]) -> Iterator[Path]:
    for folder in folders or [""]:
        for path in sorted((PACKAGE / folder).rglob("*.py")):
            if "sample" not in path.relative_to(PACKAGE).parts:
                yield path


def faults(folders: list[str]) -> list[str]:
    """Every name with a word that is not the field's, or with a British spelling."""
    result = []
    for path in modules(folders):
        for line, kind, name in names_in(path):
            words = WORDS.intersection(words_of(name))
            if words or BRITISH.search(name.lower()):
                where = f"{path.relative_to(PACKAGE.parent)}:{line}"
                result.append(f"{where}: {kind} {name}: {', '.join(sorted(words)) or 'spelling'}")
    return result


def repeated_classes(folders: list[str]) -> list[str]:
    """Public class names that stand for more than one class of the package."""
    places = defaultdict(list)
    for path in modules([]):
        for _, kind, name in names_in(path):
            if kind == "class" and not name.startswith("_"):
                places[name].append(str(path.relative_to(PACKAGE)))
    return [
        f"{name}: {', '.join(where)}"
        for name, where in sorted(places.items())
        if len(where) > 1 and (not folders or any(w.startswith(f) for w in where for f in folders))
    ]


def test_names_are_the_terms_of_the_field() -> None:
    assert faults([]) == []


def test_a_public_class_name_stands_for_one_class() -> None:
    assert repeated_classes([]) == []


def test_words_of_a_name() -> None:
    assert words_of("TurnLog") == words_of("_turn_log") == ["turn", "log"]
    assert words_of("KVCache2") == ["kvcache2"]


if __name__ == "__main__":
    for fault in [*faults(sys.argv[1:]), *repeated_classes(sys.argv[1:])]:
        sys.stdout.write(f"{fault}\n")

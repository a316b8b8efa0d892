"""An AGENTS.md to begin with, from what a repository shows: commands, layout, conventions.

No model is asked: the same repository gives the same text. It is short on purpose, since every
token of it is read with every task.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from localagent.code.file_kinds import is_code, is_docs, is_test, is_vendored
from localagent.code.languages import language_of
from localagent.code.symbols import Symbol
from localagent.project.build_commands import Read, build_commands
from localagent.project.conventions import conventions

FOLDERS = 10
MOST_USED = 5  # files
_NAMES = 4  # of each


def agents_file(
    name: str, files: Sequence[str], read: Read, used: Sequence[tuple[str, Sequence[Symbol]]]
) -> str:
    """The text for the project called `name`. `used` are the files whose definitions are used most,
    with these definitions."""
    return "\n".join(_lines(name, files, read, used)) + "\n"


def _lines(
    name: str, files: Sequence[str], read: Read, used: Sequence[tuple[str, Sequence[Symbol]]]
) -> Iterator[str]:
    yield f"# {name}"
    commands = build_commands(files, read)
    if commands:
        yield from ("", "## Commands", "")
        yield from (f"- {purpose}: `{command}`" for purpose, command in commands.items())
    layout = [*_layout(files), *_most_used(used)]
    if layout:
        yield from ("", "## Layout", "")
        yield from layout
    habits = conventions(files, read)
    if habits:
        yield from ("", "## Conventions", "")
        yield from (f"- {habit}" for habit in habits)


def _layout(files: Sequence[str]) -> Iterator[str]:
    """The folders at the top, those with the most files first, and what is in them."""
    inside: dict[str, list[str]] = defaultdict(list)
    for path in files:
        folder, _, rest = path.partition("/")
        if rest and not folder.startswith("."):
            inside[folder].append(path)
    order = sorted(inside, key=lambda folder: (-len(inside[folder]), folder))
    for folder in order[:FOLDERS]:
        yield f"- `{folder}/`: {_contents(inside[folder])}"
    if len(order) > FOLDERS:
        yield f"- and {len(order) - FOLDERS} smaller folders"


def _contents(paths: Sequence[str]) -> str:
    kinds: Counter[str] = Counter()
    for path in paths:
        if is_vendored(path):
            kinds["copies of other projects"] += 1
        elif is_test(path) and is_code(path):
            kinds["tests"] += 1
        elif is_code(path):
            kinds[language_of(path).title] += 1
        elif is_docs(path):
            kinds["documents"] += 1
    named = [kind for kind, count in kinds.most_common(2) if count >= len(paths) / 4]
    files = f"{len(paths)} {'file' if len(paths) == 1 else 'files'}"
    return f"{', '.join(named)} ({files})" if named else files


def _most_used(used: Sequence[tuple[str, Sequence[Symbol]]]) -> Iterator[str]:
    for path, symbols in used[:MOST_USED]:
        public = [symbol.name for symbol in symbols if not symbol.name.startswith("_")]
        if public:
            yield f"- `{path}`: {', '.join(f'`{name}`' for name in public[:_NAMES])}"

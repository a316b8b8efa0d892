"""Write a first AGENTS.md from a repository's files: commands, layout, conventions.

The text is made without a model, so the same repository always gives the same text. The text is
short, because the model reads it with every task.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from localagent.code.file_kinds import is_code, is_data, is_docs, is_test, is_vendored
from localagent.code.languages import language_of
from localagent.code.symbols import Symbol
from localagent.project.build_commands import Read, build_commands, python_tools, toml

SAMPLE = 200  # the largest number of files that are read
_CLEAR = 0.9  # the share of files that must follow a habit before it counts as a convention

_FORMATTERS = (
    (".prettierrc", "prettier"),
    ("prettier.config.", "prettier"),
    ("eslint.config.", "eslint"),
    (".eslintrc", "eslint"),
    ("biome.json", "biome"),
    ("rustfmt.toml", "rustfmt"),
    (".rustfmt.toml", "rustfmt"),
    (".clang-format", "clang-format"),
    (".rubocop.yml", "rubocop"),
    (".editorconfig", "editorconfig"),
)
# Patterns for imports and manifests. The first pattern that matches names the test framework.
_FRAMEWORKS = (
    (r"^\s*(?:import|from) pytest\b", "pytest"),
    (r"^\s*(?:import|from) unittest\b", "unittest"),
    (r"from ['\"]vitest['\"]|\"vitest\"", "vitest"),
    (r"from ['\"]@jest/globals['\"]|\"jest\"", "jest"),
    (r"\"mocha\"", "mocha"),
    (r"from ['\"]node:test['\"]", "node:test"),
    (r"^import \"testing\"|^\t\"testing\"$", "Go's testing"),
    (r"^\s*#\[test\]", "Rust's #[test]"),
    (r"^import org\.junit", "JUnit"),
    (r"^RSpec\.|\bdescribe .* do$", "RSpec"),
    (r"^use PHPUnit", "PHPUnit"),
    (r"^\s*use ExUnit", "ExUnit"),
)


def languages(files: Sequence[str]) -> list[tuple[str, int]]:
    """The languages of a project's own code, with their numbers of files, most files first."""
    counts = Counter(
        language_of(path).title for path in files if is_code(path) and not is_vendored(path)
    )
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def conventions(files: Sequence[str], read: Read) -> list[str]:
    """One line for each clear convention of the project."""
    spoken = [name for name, count in languages(files) if count >= max(1, len(files) // 20)]
    own = [p for p in files if not (is_vendored(p) or is_docs(p) or is_data(p))]
    texts = {p: read(p) for p in own if is_code(p) and not is_test(p)}
    found = [f"Languages: {', '.join(spoken[:4])}."] if spoken else []
    if indent := _indentation(list(texts.values())[:SAMPLE]):
        found.append(f"Indentation: {indent}.")
    if length := _line_length(frozenset(files), read):
        found.append(f"Lines: at most {length} characters.")
    if formatters := _formatters(frozenset(files), read):
        found.append(f"Formatting: {', '.join(formatters)}, by the settings in the repository.")
    found += _testing(files, read)
    if quotes := _quotes(
        [text for path, text in texts.items() if language_of(path).name == "python"][:SAMPLE]
    ):
        found.append(f"Strings in Python: {quotes} quotes.")
    return found


def _indentation(texts: Sequence[str]) -> str:
    """The indentation of the files' first indented lines; "" unless nearly all files agree."""
    counts: Counter[str] = Counter()
    for text in texts:
        first = re.search(r"^[^\s#/*'\"][^\n]*[:{(]\s*\n([ \t]+)\S", text, re.M)
        if first:
            counts[first[1]] += 1
    if not counts:
        return ""
    (indent, most), *_ = counts.most_common(1)
    if most < _CLEAR * counts.total():
        return ""
    return "tabs" if indent == "\t" else f"{len(indent)} spaces" if indent.isspace() else ""


def _line_length(files: frozenset[str], read: Read) -> str:
    tool = toml(read("pyproject.toml")).get("tool") if "pyproject.toml" in files else None
    sections = tool if isinstance(tool, dict) else {}
    for name, key in (("ruff", "line-length"), ("black", "line-length")):
        section = sections.get(name)
        if isinstance(section, dict) and isinstance(section.get(key), int):
            return str(section[key])
    if ".editorconfig" in files:
        match = re.search(r"^max_line_length\s*=\s*(\d+)", read(".editorconfig"), re.M)
        return match[1] if match else ""
    return ""


def _formatters(files: frozenset[str], read: Read) -> list[str]:
    python = [tool for tool in python_tools(files, read) if tool in ("ruff", "black", "isort")]
    others = [
        tool for start, tool in _FORMATTERS if any(name.startswith(start) for name in sorted(files))
    ]
    return list(dict.fromkeys([*python, *others, *(["gofmt"] if "go.mod" in files else [])]))


def _testing(files: Sequence[str], read: Read) -> Iterator[str]:
    tests = [p for p in files if is_test(p) and is_code(p)]
    if not tests:
        return
    manifest = read("package.json") if "package.json" in files else ""
    texts = [*(read(path) for path in tests[:SAMPLE]), manifest]
    names = [
        name
        for pattern, name in _FRAMEWORKS
        if any(re.search(pattern, text, re.M) for text in texts)
    ]
    folders = Counter(path.split("/")[0] for path in tests if "/" in path)
    places = [f"{name}/" for name, count in folders.most_common(2) if count >= len(tests) / 5]
    where = f" in {' and '.join(places)}" if places else " beside the code"
    named = f" with {names[0]}" if names else ""
    yield f"Tests: {len(tests)} {'file' if len(tests) == 1 else 'files'}{where}{named}."


def _quotes(texts: Sequence[str]) -> str:
    """The kind of quotes around nearly all short strings; "" if there is none."""
    double = sum(len(re.findall(r'(?<!")"(?!")[^"\'\n]*"', text)) for text in texts)
    single = sum(len(re.findall(r"(?<!')'(?!')[^'\"\n]*'", text)) for text in texts)
    total = double + single
    if total < 20 or max(double, single) < _CLEAR * total:
        return ""
    return "double" if double > single else "single"


FOLDERS = 10
MOST_USED = 5  # files
_NAMES = 4  # of each


def agents_file(
    name: str, files: Sequence[str], read: Read, used: Sequence[tuple[str, Sequence[Symbol]]]
) -> str:
    """The text of AGENTS.md for the project `name`.

    `used` lists the most used files, each with its definitions.
    """
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
    """One line for each top folder with its contents, the folders with the most files first."""
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

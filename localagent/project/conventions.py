"""The conventions of a project: what its tools' settings say, and what its files have in common."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from localagent.code.file_kinds import is_code, is_data, is_docs, is_test, is_vendored
from localagent.code.languages import language_of
from localagent.project.build_commands import Read, python_tools, toml

SAMPLE = 200  # files that are read
_CLEAR = 0.9  # share from which on something counts as a convention

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
# In imports or manifests; the first that fits names the framework.
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
    """The languages of a project's own code with their numbers of files, the most first."""
    counts = Counter(
        language_of(path).title for path in files if is_code(path) and not is_vendored(path)
    )
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def conventions(files: Sequence[str], read: Read) -> list[str]:
    """One line for each convention that is plain; the same files give the same lines."""
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
    """What the first indented line of each file begins with, where nearly all agree."""
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
    """The kind of quotes that nearly all short strings have."""
    double = sum(len(re.findall(r'(?<!")"(?!")[^"\'\n]*"', text)) for text in texts)
    single = sum(len(re.findall(r"(?<!')'(?!')[^'\"\n]*'", text)) for text in texts)
    total = double + single
    if total < 20 or max(double, single) < _CLEAR * total:
        return ""
    return "double" if double > single else "single"

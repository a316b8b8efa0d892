"""`scripts/bench localize`: does the index find the files that bug fixes of a repository changed?

Each fix is a query: its commit message without file names. The index holds the code before the
fix, and the changed files are the right answers. A fix is a commit whose subject mentions a fix and
no chore (types, prose, style, merges: their messages do not describe a place). It changes one to
five files of code that are not tests. The same run also queries plain BM25 over whole files; with
`--ablate`, also the index without one part of its ranking.

R@k is the share of the changed files among the first k results. MRR is the mean reciprocal rank of
the first right result. Both are percentages. "hunks" is the share of the changed hunks in a context
of 4,000 tokens (`localagent context`), by the model's tokenizer. "unnamed" counts only fixes whose
message names neither a changed file's stem nor a changed function.
"""

from __future__ import annotations

import argparse
import math
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from rows import REPO, machine, write_row

from localagent.code.file_kinds import is_data, is_docs, is_test
from localagent.context.builder import gather
from localagent.context.excerpt import Count
from localagent.index import ranking
from localagent.index.disk import DiskIndex
from localagent.project.project import Project
from localagent.session.models import open_models
from localagent.workspace.workspace import Workspace

_FIX = re.compile(r"\b(?:fix(?:e[sd])?|bug|regression|crash|broken|incorrect|wrong)\b", re.I)
_CHORE = re.compile(
    r"\b(?:typos?|spelling|grammar|typing|mypy|pyright|flake8|pydocstyle|lint\w*|ruff|isort|merge"
    r"|pre-commit|docs?|documentation|docstrings?|changelog|comments?|readme|linkcheck|whitespace"
    r"|formatting|style|readability|ci)\b",
    re.I,
)
_PATH = re.compile(
    r"[\w./-]*/[\w./-]+|[\w-]+\.(?:py|pyi|rst|md|txt|toml|cfg|c|h|go|js|ts|rs|java)\b"
)
_TRAILER = re.compile(r"^(?:[A-Z][\w-]+-by|Change-Id|Closes|Refs?): .*$|\(#\d+\)|#\d+", re.M)
_HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+\d+(?:,\d+)? @@ ?(.*)$")
_CODE = (".py", ".go", ".js", ".ts", ".rs", ".java", ".c", ".h", ".cc", ".cpp", ".rb", ".php")
_TOKENS = 4000
_ABLATIONS = {
    "best piece only": {"DECAY": 0.0},
    "all pieces alike": {"DECAY": 1.0},
    "no names": {"SYMBOLS": 0.0},
    "no path": {"PATH": 0.0},
    "no commits": {"COMMITS": 0.0},
}
"""Changed constants of `localagent.index.ranking`, by name."""


@dataclass(frozen=True)
class Fix:
    """A commit: its query, its parent, and the changed lines of each changed file."""

    commit: str
    parent: str
    subject: str
    question: str
    changed: dict[str, list[tuple[int, int]]]
    functions: frozenset[str]

    @property
    def names_it(self) -> bool:
        """Whether the query names a changed file or function."""
        words = set(re.findall(r"\w+", self.question.lower()))
        stems = {PurePosixPath(path).stem.lower() for path in self.changed}
        return bool(words & (stems | self.functions))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `scripts/bench localize`."""
    parser.add_argument("repositories", nargs="+", type=Path, help="git repositories, with history")
    parser.add_argument("--most", type=int, default=60, help="fixes of each, newest first")
    parser.add_argument("--chores", action="store_true", help="include fixes of types and prose")
    parser.add_argument("--ablate", action="store_true", help="also without parts of the ranking")
    parser.add_argument("--model", help="model whose tokenizer counts; default: the default model")
    parser.add_argument("--out", type=Path, default=REPO / ".bench" / "localize.jsonl")


def run(options: argparse.Namespace) -> int:
    """Query the index for each fix, and print a table."""
    parts = tuple(_ABLATIONS) if options.ablate else ()
    results: list[dict] = []
    with closing(open_models(Project.open(REPO, {"model": options.model}))) as models:
        models.model()
        count = models.role("main").count
        for repository in options.repositories:
            fixes = _queries(repository.resolve(), options.most, options.chores)
            found = [_result(index, tree, fix, parts, count) for index, tree, fix in fixes]
            results += [{"repository": _name(repository), **one} for one in found]
            _print(_name(repository), found)
    unnamed = [r for r in results if not r["named"]]
    _print("all", results, parts)
    _print("all, unnamed", unnamed, parts)
    row = {
        "repositories": {
            _name(path): _all_scores([r for r in results if r["repository"] == _name(path)], parts)
            for path in options.repositories
        },
        "chores": options.chores,
        "all": _all_scores(results, parts),
        "unnamed": _all_scores(unnamed, parts),
        **machine(),
    }
    write_row(options.out, row)
    return 0


def _name(repository: Path) -> str:
    path = repository.resolve()
    return path.parent.name if path.name in ("repo", ".git") else path.name


def _queries(repository: Path, most: int, chores: bool) -> Iterator[tuple[DiskIndex, Path, Fix]]:
    """Yield each fix with the code before it and its index."""
    with tempfile.TemporaryDirectory(prefix="localize-") as temporary:
        tree, file = Path(temporary) / "tree", Path(temporary) / "index.sqlite"
        _git(
            repository, "clone", "--quiet", "--shared", "--no-checkout", str(repository), str(tree)
        )
        for fix in _fixes(tree, most, chores):
            _git(tree, "checkout", "--quiet", "--force", fix.parent)
            with DiskIndex(Workspace.open(tree), file) as index:
                yield index, tree, fix


def _result(index: DiskIndex, tree: Path, fix: Fix, parts: Sequence[str], count: Count) -> dict:
    theirs = _plain(tree, [p for p in index.files() if _counts(p)], fix.question)
    return {
        "commit": fix.commit,
        "named": fix.names_it,
        "hunks": _covered(index, tree, fix, count),
        "index": _ranks(index, fix),
        "plain": [_rank(theirs, path) for path in fix.changed],
        **{part: _ranks(index, fix, _ABLATIONS[part]) for part in parts},
    }


def _ranks(index: DiskIndex, fix: Fix, other: Mapping[str, float] = MappingProxyType({})) -> list:
    """The ranks of the changed files; `other` replaces constants of the ranking."""
    usual = {name: getattr(ranking, name) for name in other}
    try:
        for name, value in other.items():
            setattr(ranking, name, value)
        found = [one.path for one in index.ranked(fix.question, 60) if _counts(one.path)]
    finally:
        for name, value in usual.items():
            setattr(ranking, name, value)
    return [_rank(found, path) for path in fix.changed]


def _rank(ranked: Sequence[str], path: str) -> int:
    """The rank of a path, from 1; 0 where it is missing."""
    return ranked.index(path) + 1 if path in ranked else 0


def _counts(path: str) -> bool:
    return path.endswith(_CODE) and not (is_test(path) or is_docs(path) or is_data(path))


def _covered(index: DiskIndex, tree: Path, fix: Fix, count: Count) -> float:
    """The share of the changed hunks in a context of 4,000 tokens."""
    workspace = Workspace.open(tree)
    found = gather(fix.question, workspace, index, count, _TOKENS)
    shown = {one.path: one.spans for one in found.excerpts}
    hunks = [(path, first, last) for path, all_ in fix.changed.items() for first, last in all_]
    held = [
        any(first <= end and start <= last for start, end in shown.get(path, ()))
        for path, first, last in hunks
    ]
    return sum(held) / len(held)


# The fixes


def _fixes(tree: Path, most: int, chores: bool) -> Iterator[Fix]:
    count = 0
    log = _git(tree, "log", "--no-merges", "--format=%H", "-i", "-E", "--grep=fix|bug|crash|wrong")
    for commit in log.split():
        fix = _fix(tree, commit)
        if fix is not None and (chores or not _CHORE.search(fix.subject)):
            yield fix
            count += 1
            if count >= most:
                return


def _fix(tree: Path, commit: str) -> Fix | None:
    parents, _, message = _git(tree, "log", "-1", "--format=%P%n%B", commit).partition("\n")
    subject = message.split("\n", 1)[0]
    question = _TRAILER.sub("", _PATH.sub("", message)).strip()
    if len(parents.split()) != 1 or not _FIX.search(subject) or len(question.split()) < 4:
        return None
    diff = _git(tree, "diff", "--unified=0", "--no-renames", "--diff-filter=M", parents, commit)
    changed, functions = _changed(diff)
    fix = Fix(commit, parents, subject, question, changed, functions)
    return fix if 1 <= len(changed) <= 5 else None


def _changed(diff: str) -> tuple[dict[str, list[tuple[int, int]]], frozenset[str]]:
    """The changed lines of each file before the commit, and the names in hunk headers."""
    found: dict[str, list[tuple[int, int]]] = {}
    functions: set[str] = set()
    path = ""
    for line in diff.split("\n"):
        if line.startswith("--- a/"):
            path = line[6:]
        elif (match := _HUNK.match(line)) and _counts(path):
            first, count = int(match[1]), int(match[2] or 1)
            found.setdefault(path, []).append((max(1, first), max(1, first + max(count, 1) - 1)))
            name = re.search(r"(?:def|func|class|function|fn)\s+(\w+)", match[3])
            functions |= {name[1].lower()} if name else set()
    return found, frozenset(functions)


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    done = subprocess.run(command, capture_output=True, check=True)
    return done.stdout.decode("utf-8", "replace")


# Plain BM25 (Robertson and Zaragoza, 2009; k1 1.2, b 0.75) over whole files and words


def _plain(tree: Path, files: Sequence[str], question: str) -> list[str]:
    documents = {path: _words_of(tree / path, (tree / path).stat().st_mtime_ns) for path in files}
    average = sum(d.total() for d in documents.values()) / max(1, len(documents))
    asked = set(_WORD.findall(question.lower()))
    having = Counter(word for d in documents.values() for word in asked if word in d)
    scores = {
        path: sum(
            math.log(1 + (len(documents) - having[word] + 0.5) / (having[word] + 0.5))
            * d[word] * 2.2 / (d[word] + 1.2 * (0.25 + 0.75 * d.total() / average))
            for word in asked
            if d[word]
        )
        for path, d in documents.items()
    }  # fmt: skip
    return sorted(scores, key=lambda path: -scores[path])[:60]


_WORD = re.compile(r"\w+")


@cache
def _words_of(path: Path, _mtime: int) -> Counter[str]:
    return Counter(_WORD.findall(path.read_text(errors="replace").lower()))


# The table


def _scores(results: Sequence[dict], ranker: str) -> dict[str, float]:
    if not results:
        return {}

    def mean(values: Iterator[float]) -> float:
        return round(100 * sum(values) / len(results), 1)

    def within(limit: int) -> float:
        return mean(sum(0 < n <= limit for n in r[ranker]) / len(r[ranker]) for r in results)

    firsts = (min((n for n in r[ranker] if n), default=0) for r in results)
    return {
        **{f"R@{limit}": within(limit) for limit in (1, 5, 10)},
        "MRR": mean(1 / n if n else 0.0 for n in firsts),
        "hunks": mean(r["hunks"] for r in results) if ranker == "index" else 0.0,
    }


def _all_scores(results: Sequence[dict], parts: Sequence[str]) -> dict:
    rankers = ("plain", "index", *parts)
    return {"fixes": len(results), **{ranker: _scores(results, ranker) for ranker in rankers}}


def _print(name: str, results: Sequence[dict], parts: Sequence[str] = ()) -> None:
    for ranker in ("plain", "index", *parts):
        scores = _scores(results, ranker)
        shown = "  ".join(f"{key} {value:5.1f}" for key, value in scores.items() if value)
        print(f"{name:<22} {len(results):>4} fixes  {ranker:<16} {shown}", flush=True)

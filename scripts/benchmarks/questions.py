"""`scripts/bench questions`: 40 questions about localagent's own code, answered with places.

Each question comes with the definitions that hold its answer. Their lines are found at run time. A
question reads a copy of the checkout without this file, which would answer it.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from rows import HALVES, REPO, halves_of, resumed

QUESTIONS: dict[str, str] = {
    "Where is it decided whether a request is a question or a change?": "agent/intent.py classify",
    "How does a check run without touching the workspace?": "agent/checks/runner.py run_check",
    "Which function parses the probe's report of the tests?": "agent/checks/runner.py read_result",
    "How is the score of a candidate computed?": "agent/checks/runner.py CheckResult",
    "Where are the limits of the search defined?": "agent/limits.py SearchLimits",
    "How does the model choose one of several options?": "agent/model_calls.py choose",
    "How is a reply that repeats itself detected?": "agent/model_calls.py repeats",
    "Where are secrets removed from a request to the model?": "agent/model_calls.py redact_request",
    "Where is the permission for a tool call decided?": "agent/tool_calls/dispatch.py permit",
    "How is a change that hard-codes the tests' answers found?": (
        "agent/repair/false_passes.py special_cases"
    ),
    "Which function takes turns between the strategies?": "agent/repair/search.py search",
    "Where is the order of the strategies chosen?": (
        "agent/repair/strategies/__init__.py schedule_for"
    ),
    "How is a wrong citation in an answer corrected?": "agent/planners/citations.py Citations",
    "How is the commit message for staged changes written?": "agent/small_tasks.py write_message",
    "Where is a function in a Python file replaced?": "edits/python_edits.py replace_function",
    "How are the bytes of a file decoded to text?": "edits/textfile.py decode",
    "How are tests shortened to a line each for the prompt?": (
        "context/test_cases.py condense_tests"
    ),
    "Where are placeholders in prompts filled in?": "context/prompts.py Prompts.render",
    "What does the Sandbox protocol offer?": "sandbox/base.py Sandbox",
    "How does a user learn that a port of this machine is closed to commands?": (
        "sandbox/base.py closed_port_hint"
    ),
    "Which class keeps the KV cache sequences of a model?": (
        "models/llamacpp/worker/kv_slots.py Slots"
    ),
    "How does localagent find the project's own Python environment?": (
        "project/python_environment.py find_environment"
    ),
    "How is an interrupted change of a killed session taken back?": (
        "history/checkpoints/checkpoint.py recover"
    ),
    "Where are the turns of a session undone?": "history/checkpoints/undo.py undo_from",
    "How is the digest of log files made or read from the disk?": "logs/store.py digest_of",
    "Which function splits a diff into hunks?": "agent/review/hunks.py parse_hunks",
    "Where is a session built from its settings?": "session/factory.py open_session",
    "How are sizes in bytes formatted for users?": "ui/view/format.py size",
    "How are messages rendered with a chat template?": "models/chat_templates/jinja.py render",
    "How are words of other agents translated on the command line?": ("cli/aliases.py translate"),
    "Which facts are read from a GGUF file's header?": "models/gguf.py Header",
    "How is a folder removed, and what if a part of it stays?": "core/trees.py remove_tree",
    "Where is the index on disk implemented?": "index/disk.py DiskIndex",
    "Which code gathers the passages for a question?": "context/builder.py gather",
    "How does the seccomp filter of the offline sandbox come about?": (
        "linux/seccomp.py offline_program"
    ),
    "How does Landlock restrict where a process writes?": (
        "sandbox/launcher/write_limit.py restrict_writing"
    ),
    "How is a model's download resumed?": "models/catalog/download.py resume",
    "Which environment variables does git get?": "workspace/git/run.py git_environment",
    "Where does the react planner carry out its tool calls?": "agent/planners/react.py React.plan",
    "Which files may a watcher watch?": "index/watcher.py folders_to_watch",
}
_PLACE = re.compile(r"(?<![\w/:@.-])([\w./-]+\.\w{1,4}):(\d+)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `scripts/bench questions`."""
    parser.add_argument("--shown", action="store_true", help="only what a model would read")
    parser.add_argument("--half", choices=HALVES, help="half of the questions (default: all)")
    parser.add_argument("--seconds", type=float, default=120.0, help="limit for each question")
    parser.add_argument("--label", default="", help="a word that marks this run's rows")
    parser.add_argument("--out", type=Path, default=REPO / ".bench" / "questions.jsonl")


def run(options: argparse.Namespace) -> int:
    """Ask the questions that the output file lacks, then print the shares."""
    halves = halves_of(QUESTIONS)
    names = [q for q in QUESTIONS if options.half in (None, halves[q])]
    mark = {"label": options.label, "shown": options.shown}
    with tempfile.TemporaryDirectory(prefix="localagent-questions-") as temporary:
        folder = _copy(Path(temporary) / "localagent")

        def measure(question: str) -> dict:
            ask = _shown if options.shown else _answered
            return _judged(folder, question, *ask(folder, question, options.seconds))

        rows = resumed(options.out, mark, names, measure, _line)
    cited = [row for row in rows if row["places"]]
    print(f"{len(rows)} questions, {len(cited)} with places")
    print(f"all places exist: {sum(row['exist'] for row in rows)} of {len(rows)}")
    print(f"a right place: {sum(row['right'] for row in rows)} of {len(rows)}")
    print(f"median prompt: {median(row['tokens'] for row in rows):g} tokens")
    return 0


def _copy(folder: Path) -> Path:
    """The checkout's files of git, without this one."""
    listed = subprocess.run(["git", "-C", str(REPO), "ls-files", "-z"], capture_output=True)
    for name in listed.stdout.decode().split("\0"):
        if name and (REPO / name).is_file() and REPO / name != Path(__file__).resolve():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPO / name, folder / name)
    return folder


def _shown(folder: Path, question: str, seconds: float) -> tuple[list[tuple[str, int, int]], int]:
    """The places in the prompt of a question, and the prompt's tokens of code."""
    data = json.loads(_localagent(folder, ["context", question, "--json"], seconds) or "{}")
    parts = data.get("shown", [])
    places = [(p["path"], *span) for p in parts for span in p["lines"] if p["path"]]
    return places, sum(part["tokens"] for part in parts)


def _answered(
    folder: Path, question: str, seconds: float
) -> tuple[list[tuple[str, int, int]], int]:
    """The places that an answer cites, in its text and below it, and its prompt's tokens."""
    words = ["run", question, "--json", "--planner", "workflow", "--max-seconds", str(seconds)]
    output = _localagent(folder, words, seconds + 60)
    events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    last = next((e for e in reversed(events) if e["type"] == "turn_finished"), None)
    if last is None:
        return [], 0
    text = "\n".join([last["summary"], *last["sources"]])
    places = [(m[1], int(m[2]), int(m[2])) for m in _PLACE.finditer(text)]
    return places, last["prompt_tokens"]


def _localagent(folder: Path, words: list[str], seconds: float) -> str:
    command = [sys.executable, "-m", "localagent", *words, "-C", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout


def _judged(folder: Path, question: str, places: list[tuple[str, int, int]], tokens: int) -> dict:
    """Whether all places exist, and whether one is in the definition that holds the answer."""
    path, name = QUESTIONS[question].split()
    first, last = definition(folder / "localagent" / path, name)
    right = any(
        where == f"localagent/{path}" and start <= last and end >= first
        for where, start, end in places
    )
    exist = all(
        (folder / where).is_file() and end <= len((folder / where).read_text().splitlines())
        for where, _, end in places
    )
    return {"right": right, "exist": exist, "tokens": tokens, "places": places}


def definition(path: Path, name: str) -> tuple[int, int]:
    """The first and the last line of a definition. Raises LookupError."""
    nodes: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    for part in name.split("."):
        nodes = [
            child
            for node in nodes
            for child in ast.walk(node)
            if isinstance(child, ast.FunctionDef | ast.ClassDef) and child.name == part
        ]
    for node in nodes[:1]:
        assert isinstance(node, ast.FunctionDef | ast.ClassDef)
        return node.lineno, node.end_lineno or node.lineno
    raise LookupError(f"{path} does not define {name}")


def _line(row: Mapping) -> str:
    mark = "right" if row["right"] else "-"
    exist = "" if row["exist"] else "  a place does not exist"
    return f"{mark:<6} {row['tokens']:>5} tokens  {row['name']}{exist}"

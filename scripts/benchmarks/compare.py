"""`scripts/bench compare`: other agents on the same exercises and the same model.

The benchmark runs each installed agent as its users do, without questions, on a copy of each
exercise. The exercise's tests decide, as in `scripts/bench exercises`. You start a server for the
model on this machine that speaks OpenAI's API (`llama-server -m FILE`, or Ollama). The agents find
it by their own options and variables. AGENTS has the command of each agent;
`--agent NAME='COMMAND'` adds or replaces an agent.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from exercises import CHECK, judge, names_of, prepare, task_of
from rows import REPO, resumed

AGENTS = {
    "aider": (
        "aider --yes-always --no-git --no-check-update --analytics-disable "
        "--no-show-model-warnings --model openai/{model} --auto-test --test-cmd {check} "
        "--message {task} {solution}"
    ),
    "opencode": "opencode run --model local/{model} {task}",
    "pi": "pi --provider local --model {model} --print {task}",
    "mini-swe-agent": "mini --yolo --exit-immediately --model openai/{model} --task {task}",
}
"""How each is called, without a shell: what stands in braces becomes one word or a part of it.
OpenCode and pi know the server from their own configuration files, by the name "local". Options
change from version to version; `--agent` says another."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `scripts/bench compare`."""
    parser.add_argument("--root", type=Path, required=True, help="a checkout of exercism/python")
    parser.add_argument("--names", type=Path, help="a file with one exercise name a line")
    parser.add_argument("--only", nargs="*", default=[], help="names of exercises")
    parser.add_argument(
        "--server", required=True, help="where the model is served: http://127.0.0.1:8080/v1"
    )
    parser.add_argument("--model", default="qwen2.5-coder-1.5b-instruct", help="its name there")
    parser.add_argument(
        "--agent", action="append", default=[], metavar="NAME[=COMMAND]",
        help=f"an agent to run (default: those of {', '.join(AGENTS)} that are installed)",
    )  # fmt: skip
    parser.add_argument("--seconds", type=float, default=300.0, help="limit for each exercise")
    parser.add_argument("--out", type=Path, default=REPO / ".bench" / "compare.jsonl")


def run(options: argparse.Namespace) -> int:
    """Run what the output file lacks, then print how many exercises each agent solved."""
    _ensure_here(options.server)
    agents = _agents(options.agent)
    names = options.only or names_of(options.names)
    for agent, command in agents.items():
        mark = {"agent": agent, "model": options.model, "limit": options.seconds}
        measure = partial(_solve, options, command)
        rows = resumed(options.out, mark, names, measure, _line)
        solved, total = sum(r["solved"] for r in rows), sum(r["seconds"] for r in rows)
        print(f"{agent}: solved {solved} of {len(rows)} in {total:.0f} s")
    return 0


def _line(row: Mapping) -> str:
    mark = "solved" if row["solved"] else "-"
    return f"{row['agent']:<16} {row['name']:<26} {mark:<6} {row['seconds']:>7.1f} s"


def _ensure_here(server: str) -> None:
    """Refuse a server on another machine: the benchmark sends no code elsewhere."""
    host = urllib.parse.urlsplit(server).hostname
    if host not in ("127.0.0.1", "localhost", "::1"):
        raise SystemExit(f"compare: {server} is not on this machine")


def _agents(given: list[str]) -> dict[str, str]:
    """The agents to run and their commands; prints the names of missing agents."""
    named = dict(item.partition("=")[::2] for item in given)
    chosen = {name: command or AGENTS.get(name, "") for name, command in named.items()} or AGENTS
    found: dict[str, str] = {}
    for name, command in chosen.items():
        if not command:
            raise SystemExit(f"compare: how is {name} called? --agent {name}='COMMAND'")
        if shutil.which(shlex.split(command)[0]):
            found[name] = command
        else:
            print(f"{name} is not installed")
    return found


def _solve(options: argparse.Namespace, command: str, name: str) -> dict:
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as temporary:
        folder = Path(temporary)
        solution, tests = prepare(options.root, name, folder)
        before = (folder / tests).read_bytes()
        values = {
            "model": options.model,
            "task": task_of(solution, tests),
            "solution": solution,
            "check": CHECK,
        }
        words = [word.format(**values) for word in shlex.split(command)]
        env = {
            **os.environ,
            "OPENAI_API_BASE": options.server,
            "OPENAI_BASE_URL": options.server,
            "OPENAI_API_KEY": "none",
        }
        started = time.monotonic()
        code = _run(words, folder, env, options.seconds)
        seconds = time.monotonic() - started
        return {
            "solved": judge(folder, tests, before),
            "exit_code": code,
            "seconds": round(seconds, 1),
            "command": command,
        }


def _run(words: list[str], folder: Path, env: dict[str, str], seconds: float) -> int | None:
    """The exit code, or None after the time limit; ends all processes that the agent started."""
    process = subprocess.Popen(
        words, cwd=folder, env=env, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        return process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        try:
            os.killpg(process.pid, 9)
        except ProcessLookupError:
            pass
        process.wait()

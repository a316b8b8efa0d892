"""`scripts/bench engine`: the engine compared to plain llama.cpp, in one run on one machine.

- reading a prompt, writing one reply, and eight at once
- prompt lookup, where the output copies the input, and where it does not
- a core that another program keeps busy
- a cold and a warm start of the whole program
- the share of a turn's prompt that the next turn reuses

Compare the ratios; the times depend on the machine and its other work.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median_high

from rows import REPO, machine, rows_of, write_row

from localagent.core.messages import Message
from localagent.models.base import Finish, ModelInfo, Request, Text, Usage
from localagent.models.catalog import lock, verification
from localagent.models.llamacpp.backend import LlamaCpp
from localagent.models.llamacpp.hardware import physical_cores
from localagent.models.llamacpp.memory_plan import BATCH

WINDOW = 8192
QUESTION = "What does the HTTP status 404 mean? Answer in one short sentence, without any tool."
TURNS = tuple(
    f"{question} One short sentence, without any tool."
    for question in (
        "What does the HTTP status 404 mean?",
        "And 500?",
        "And 403?",
        "Which of them is the client's fault?",
    )
)
PARTS = ("single", "eight", "copy", "other", "busy", "start", "turns")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `scripts/bench engine`."""
    parser.add_argument("--model", help="a model of models.lock (default: its default)")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--repeat", type=int, default=3, help="runs; their median counts")
    parser.add_argument("--out", type=Path, default=REPO / ".bench" / "engine.jsonl")
    parser.add_argument("--plain-weights", action="store_true", help="without repacked weights")


def run(options: argparse.Namespace) -> int:
    """Measure the parts; each gives one row and one line."""
    entry = lock.load().entry(options.model)
    bench = Bench(verification.path_for(entry), entry, options)
    for part in options.only:
        row = {"part": part, "model": entry.id, "sha256": entry.sha256[:12], **machine()}
        row |= {"extra_bufts": not options.plain_weights, **getattr(bench, part)()}
        write_row(options.out, row)
        print(_line(row), flush=True)
    print(f"\n{len(rows_of(options.out))} rows in {options.out}")
    return 0


def _line(row: dict) -> str:
    hidden = {*machine(), "part", "note", "model", "sha256", "extra_bufts"}
    values = [f"{key} {value}" for key, value in row.items() if key not in hidden]
    return f"{row['part']:<8} " + "   ".join(values)


class Bench:
    """The measurements; each returns seconds, tokens per second, and ratios."""

    def __init__(self, path: Path, entry: lock.Entry, options: argparse.Namespace) -> None:
        self._path, self._entry, self._options = path, entry, options
        self._threads = physical_cores()
        source = (REPO / "localagent" / "models" / "catalog" / "lock.py").read_text()
        self._text = source[:3600]

    def single(self) -> dict:
        """One reply after a prompt of some 900 tokens."""
        chat = [Message("user", f"```python\n{self._text}\n```\nExplain this file at length.")]
        request = Request(chat, max_tokens=64)
        ours, raw = [], []
        for _ in range(self._options.repeat):
            with self._model(drafts=False) as model:
                _, (usage,) = ask(model, [request])
                ours.append(usage)
            raw.append(self._raw(usage.prompt_tokens, 64, 1))
        read = median_high(u.prompt_tokens / u.prefill_seconds for u in ours)
        wrote = median_high(u.completion_tokens / u.decode_seconds for u in ours)
        raw_read = median_high(usage.prompt_tokens / r["prefill"] for r in raw)
        raw_wrote = median_high(64 / r["decode"] for r in raw)
        return {
            "read": round(read, 1), "raw_read": round(raw_read, 1), "wrote": round(wrote, 1),
            "raw_wrote": round(raw_wrote, 1), "read_ratio": round(read / raw_read, 3),
            "write_ratio": round(wrote / raw_wrote, 3),
        }  # fmt: skip

    def eight(self) -> dict:
        """One, four, eight and sixteen replies to one prompt: their rate together."""
        chat = [Message("user", f"```python\n{self._text}\n```\nExplain this file at length.")]
        rates: dict[str, float] = {}
        with self._model(drafts=False, parallel=16) as model:
            for count in (1, 4, 8, 16):
                requests = [
                    Request(chat, max_tokens=32, temperature=0.8, seed=seed)
                    for seed in range(count)
                ]
                ask(model, [replace(requests[0], max_tokens=1)])  # the prompt is read by now
                began = time.perf_counter()
                _, usages = ask(model, requests)
                written = sum(u.completion_tokens for u in usages)
                rates[f"x{count}"] = round(written / (time.perf_counter() - began), 1)
        raw = self._raw(900, 32, 8)
        rates["raw_x8"] = round(8 * 32 / raw["decode"], 1)
        return {**rates, "gain_of_eight": round(rates["x8"] / rates["x1"], 2)}

    def copy(self) -> dict:
        """A file of 150 lines written again with three lines changed, with guesses and without."""
        source = (REPO / "localagent" / "models" / "fit.py").read_text()
        text = "".join(source.splitlines(keepends=True)[:150])
        task = "Write this file again. Rename `plan` to `fitted`, and `shape` to `outline`."
        chat = [Message("user", f"```python\n{text}```\n{task}")]
        request = Request(chat, max_tokens=1600, stop=("\n```",), reply_start="```python\n")
        return self._drafted(request)

    def other(self) -> dict:
        """A reply that copies nothing, with guesses and without."""
        return self._drafted(
            Request([Message("user", "Tell a story of a lighthouse, at length.")], max_tokens=200)
        )

    def busy(self) -> dict:
        """Writing while another process keeps one core busy: adapting, not adapting, one thread."""
        request = Request([Message("user", "Tell a story of a lighthouse.")], max_tokens=48)
        rates: dict[str, float] = {}
        with self._model(drafts=False, threads=1) as model:
            rates["one_thread_idle"] = self._rate(model, request)
        with self._model(drafts=False) as model:
            rates["idle"] = self._rate(model, request)
            with burner():
                ask(model, [replace(request, max_tokens=8)])
                rates["adapting"] = self._rate(model, request)
        with burner():
            raw = self._raw(60, 24, 1)
        rates["raw_beside_it"] = round(24 / raw["decode"], 1)
        rates["ratio_to_one_thread"] = round(rates["adapting"] / rates["one_thread_idle"], 2)
        return rates

    def start(self) -> dict:
        """From the command to the first token; 1,200 tokens of rules not on disk, then there."""
        with tempfile.TemporaryDirectory() as folder:
            home, project = self._places(Path(folder))
            prompts = home / ".config" / "localagent" / "prompts" / "react"
            prompts.mkdir(parents=True)
            rule = "Be exact and say only what you know. "
            shipped = (REPO / "localagent" / "prompts" / "react" / "system.md").read_text()
            prompts.joinpath("system.md").write_text(rule * 95 + "\n" + shipped)
            cold, tokens = self._first_token(home, project)
            tries = range(self._options.repeat)
            warm = median_high(self._first_token(home, project)[0] for _ in tries)
        return {
            "cold_s": round(cold, 2), "warm_s": round(warm, 2), "prompt_tokens": tokens,
            "ratio": round(cold / warm, 1),
        }  # fmt: skip

    def turns(self) -> dict:
        """The share of a turn's last prompt that the next turn reuses, for each planner.

        Each turn is a process of its own. The result is the smallest share of a session.
        """
        kept: dict[str, float] = {}
        for planner in ("react", "workflow"):
            with tempfile.TemporaryDirectory() as folder:
                home, project = self._places(Path(folder))
                project.joinpath("a.py").write_text("def double(x):\n    return x + x\n")
                shares, before, resume = [], 0, []
                for question in TURNS:
                    arguments = [question, "--planner", planner, "--max-tokens", "120", *resume]
                    events = [event for _, event in self._run(home, project, arguments)]
                    replies = [e for e in events if e["type"] == "model_replied"]
                    # A request may be classified first, which does not change the session's prompt.
                    replies = [e for e in replies if e["purpose"] != "classify"]
                    if before:
                        shares.append(replies[0]["reused_tokens"] / before)
                    before = replies[-1]["prompt_tokens"]
                    resume = ["--resume", events[0]["session"]]
            kept[f"{planner}_reused"] = round(min(shares), 3)
        return kept

    def _places(self, folder: Path) -> tuple[Path, Path]:
        """A home folder that has the model, and an empty project."""
        home, project = folder / "home", folder / "project"
        project.mkdir()
        data = home / ".local" / "share" / "localagent"
        data.mkdir(parents=True)
        data.joinpath("models").symlink_to(verification.path_for(self._entry).parent)
        return home, project

    def _first_token(self, home: Path, project: Path) -> tuple[float, int]:
        first = tokens = 0.0
        arguments = [QUESTION, "--planner", "react", "--max-tokens", "60"]
        for seconds, event in self._run(home, project, arguments):
            if event["type"] == "text_delta" and not first:
                first = seconds
            if event["type"] == "model_replied" and not tokens:
                tokens = event["prompt_tokens"]
        if not first:
            raise SystemExit("the run wrote nothing; try it by hand")
        return first, int(tokens)

    def _run(
        self, home: Path, project: Path, arguments: Sequence[str]
    ) -> Iterator[tuple[float, dict]]:
        """The events of `localagent run`, each with its seconds since the command."""
        command = [sys.executable, "-m", "localagent", "run", *arguments, "--json"]
        command += ["--model", self._entry.id]
        env = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")}
        env |= {"HOME": str(home)}
        began = time.perf_counter()
        with subprocess.Popen(command, cwd=project, env=env, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for line in process.stdout:
                yield time.perf_counter() - began, json.loads(line)

    def _drafted(self, request: Request) -> dict:
        texts, seconds, counts = [], [], []
        for drafts in (False, True):
            with self._model(drafts=drafts) as model:
                ask(model, [replace(request, max_tokens=8)])
                text, (usage,) = ask(model, [request])
            texts.append(text)
            seconds.append(usage.decode_seconds)
            counts.append(usage.completion_tokens)
        return {
            "tokens": counts[0], "plain_s": round(seconds[0], 1), "drafted_s": round(seconds[1], 1),
            "gain": round(seconds[0] / seconds[1], 2), "same": texts[0] == texts[1],
        }  # fmt: skip

    def _rate(self, model: LlamaCpp, request: Request) -> float:
        _, (usage,) = ask(model, [request])
        return round(usage.completion_tokens / usage.decode_seconds, 1)

    def _model(self, *, drafts: bool, threads: int = 0, parallel: int = 8) -> LlamaCpp:
        profile = replace(self._entry.profile.profile(), window=WINDOW, parallel=parallel)
        return LlamaCpp(
            self._path,
            ModelInfo(self._entry.id, "llamacpp", "", profile),
            threads=threads,
            drafts=drafts,
            use_extra_bufts=not self._options.plain_weights,
            flash=False,
        )

    def _raw(self, prompt: int, write: int, streams: int) -> dict[str, float]:
        job = {
            "window": WINDOW, "batch": BATCH, "threads": self._threads, "streams": streams,
            "extra_bufts": not self._options.plain_weights, "flash": False,
            # All tokens of the vocabulary take the same time.
            "prompt": [1000 + n % 5000 for n in range(prompt)], "write": write,
        }  # fmt: skip
        command = [sys.executable, str(Path(__file__).with_name("raw.py")), str(self._path)]
        done = subprocess.run(
            [*command, json.dumps(job)], capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout.splitlines()[-1])


def ask(model: LlamaCpp, requests: Sequence[Request]) -> tuple[str, list[Usage]]:
    """The first reply's text, and the usage of each reply."""
    text, usages = "", [Usage()] * len(requests)
    for place, chunk in model.generate_all(requests):
        if isinstance(chunk, Text) and place == 0:
            text += chunk.text
        elif isinstance(chunk, Finish):
            usages[place] = chunk.usage
    return text, usages


@contextmanager
def burner() -> Iterator[None]:
    """A process that keeps one core busy."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()

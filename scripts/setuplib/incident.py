"""The demo `incident`: logs of several hosts, a cause hidden in them, and the model's answer."""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from incident_logs import KINDS, QUESTION, judged, write

from setuplib import model, places
from setuplib.console import Console, SetupError


def run(console: Console, options: Sequence[str]) -> int:
    """Generate logs, ask what broke first, and compare the answer with the truth.

    Returns 0 only where the first cause and its minute are right, and all quotes stand in the logs.
    """
    parser = argparse.ArgumentParser(prog="scripts/demo incident", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="seed of the logs (default: 1)")
    parser.add_argument("--kind", choices=KINDS, default="lock", help="kind of cause")
    parser.add_argument("--megabytes", type=float, default=200, help="size of the logs")
    parser.add_argument("--scripted", type=Path, help="take the model's replies from a file")
    given = parser.parse_args(options)
    with tempfile.TemporaryDirectory(prefix="localagent-incident-") as name:
        folder = Path(name)
        console.line(f"\nwriting {given.megabytes:g} MB of logs …")
        truth = write(folder / "logs", given.seed, given.kind, given.megabytes)
        command = ["localagent", "logs", "-C", str(folder), "logs", QUESTION]
        console.line(f"$ {shlex.join(command)}\n")
        model_words = ["--model", model.pinned()[0]]
        if given.scripted:
            model_words = ["--scripted", str(given.scripted)]
        words = [str(places.PYTHON), "-m", *command, *model_words, "--json"]
        done = subprocess.run(
            words, env=places.environment(), cwd=folder, stdout=subprocess.PIPE, check=False
        )
        if done.returncode:
            raise SetupError("localagent logs failed", "see the lines above")
        data = json.loads(done.stdout)
        result = judged(folder, truth, data)
    cause = data["incident"]["cause"]
    console.line(f"{data['lines']:,} lines in {len(data['files'])} files")
    console.line(f"first cause: {cause['minute']}  {cause['place']}\n  {cause['text']}\n")
    console.line(data.get("answer", ""))
    console.line(f"\nthe truth: {truth.minute}  {truth.text}")
    verdict = "right" if result["right"] else "wrong"
    quotes = "all quotes stand in the logs" if result["quotes"] else "a quote is not in the logs"
    console.line(f"the first cause and its minute are {verdict}; {quotes}")
    return 0 if result["right"] and result["quotes"] else 1

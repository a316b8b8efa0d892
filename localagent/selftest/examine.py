# ruff: noqa: T201
"""What a kind of sandbox really denies on this machine: the canaries, run for one kind.

Everything attacked belongs to a process of its own with a home of its own (targets.py), so a
sandbox that fails harms nothing. Linux only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from localagent.core import paths
from localagent.core.errors import SandboxError
from localagent.core.interpreter import python
from localagent.sandbox.base import Command, Sandbox

_SECONDS = 120.0
# Without a sandbox these would reach out to other machines.
_OUTWARD = (
    *("tcp-out", "tcp6-out", "tcp-port", "udp-out", "udp6-out", "dns", "icmp", "icmp6"),
    "multicast",
)


@dataclass(frozen=True, slots=True)
class Canary:
    """One attempt to get out. `name` is short and stable, `what` says it in words, `detail` what
    came of it, such as the kernel's error."""

    name: str
    what: str
    denied: bool
    detail: str


def examine(kind: str, base: Path | None = None, ports: Sequence[int] = ()) -> list[Canary]:
    """Every canary for the sandbox `kind`; takes a few seconds.

    `base` is where a folder for the trial is made, by default in the cache folder. `ports` are left
    open, and nothing else may be. Raises SandboxError where the kind does not work here, with what
    is missing.
    """
    if sys.platform != "linux":
        raise SandboxError("there are canaries for Linux only")
    from localagent.selftest.targets import environment, new_marker, sweep

    root = Path(__file__).resolve().parents[2]
    marker = new_marker()
    with tempfile.TemporaryDirectory(dir=base or paths.private(paths.cache_dir())) as name:
        home = Path(name, "home")
        home.mkdir()
        variables = environment(home, marker)
        search = [variables.get("PYTHONPATH", ""), str(root)]
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, search))
        try:
            done = subprocess.run(
                python("-m", __name__, kind, *map(str, ports)),
                env=variables,
                cwd=home,
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
            )
        finally:
            sweep(marker)
    lines = [line for line in done.stdout.splitlines() if line.startswith("[")]
    if not lines:
        reason = done.stderr.strip().rpartition("\n")[2] or "it ended early"
        raise SandboxError(f"the sandbox {kind} could not be tried: {reason}")
    return [Canary(*json.loads(line)) for line in lines]


def main() -> None:
    """Try the kind that the first argument names, with the ports that follow left open; one line
    of JSON for each canary."""
    from localagent.sandbox.select import make
    from localagent.selftest.targets import sweep

    try:
        sandbox = make(sys.argv[1], ports=tuple(map(int, sys.argv[2:])))
        found = _attack(sandbox)
    except SandboxError as error:
        sys.exit(str(error))
    finally:
        sweep(os.environ["CANARY_MARKER"])  # whoever started this may have been ended
    for canary in found:
        print(json.dumps([canary.name, canary.what, canary.denied, canary.detail]))


def _attack(sandbox: Sandbox) -> list[Canary]:
    from localagent.selftest import attempts, resource_limits
    from localagent.selftest.targets import Targets

    with Targets(Path.home(), list(attempts.ATTEMPTS)) as targets:
        skip = () if sandbox.confined else _OUTWARD
        values = targets.values(sandbox.confined, skip)
        (targets.workspace / "targets.json").write_text(json.dumps(values))
        with sandbox.open(targets.workspace) as view:
            line = f"exec '{sys.executable}' -I -S '{Path(attempts.__file__).with_name('run.py')}'"
            done = view.run(Command(line, seconds=_SECONDS, output_bytes=1 << 20))
            rows = (
                resource_limits.tried(view, os.environ["CANARY_MARKER"]) if sandbox.confined else []
            )
        told = [line for line in done.output.splitlines() if line.startswith("{")]
        if done.exit_code or len(told) != len(attempts.ATTEMPTS) - len(skip):
            raise SandboxError(f"the canaries did not end well: {done.output[-500:]}")
        seen = targets.reached()
        sandbox.close()
    found = [json.loads(line) for line in told]
    reached = [
        Canary(
            row["name"],
            row["what"],
            not row["reached"] and row["name"] not in seen,
            seen.get(row["name"], row["detail"]),
        )
        for row in found
    ]
    return [*reached, *(Canary(*row) for row in rows)]


if __name__ == "__main__":
    main()

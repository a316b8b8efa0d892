"""Finds the form of a chat template in a process of its own, with limits of time and memory.

A template is a program of the model's maker: it may run without end.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict
from datetime import date
from typing import Any

from localagent.core.interpreter import environment, python

SECONDS = 20.0
"""Time for all renderings; those of the longest published template take 0.2 s."""

_MEMORY = 1 << 30  # bytes


def inspect(source: str) -> dict[str, Any] | None:
    """The fields of the `TemplateForm` of a template, with today's date.

    None for a template that renders no conversation within the limits.
    """
    request = json.dumps({"source": source, "date": date.today().isoformat()})
    try:
        done = subprocess.run(
            python("-m", __name__),
            input=request.encode(),
            capture_output=True,
            env=environment(),
            timeout=SECONDS,
            check=True,
        )
        form = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return form if isinstance(form, dict) else None


def main() -> int:
    """Write the form of the template on standard input; 1 if it has none."""
    from localagent.models.chat_templates.jinja import TemplateFailed
    from localagent.models.chat_templates.probe import probe

    with suppress(ImportError, OSError, ValueError):  # not on every platform
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    try:
        form = probe(**json.load(sys.stdin))
    except TemplateFailed as error:
        print(error, file=sys.stderr)  # noqa: T201 - a program of its own
        return 1
    json.dump(asdict(form), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())

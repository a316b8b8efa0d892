"""Build hook: writes the manual page from the parser and adds it to the wheel."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManPageHook(BuildHookInterface):  # type: ignore[misc,type-arg]
    """Adds share/man/man1/localagent.1. The command line needs no dependency to import."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the page; an editable install has no shared data, so it gets none."""
        if version == "editable":
            return
        # argparse breaks lines at the terminal's width, and newer Pythons color them.
        os.environ.update(COLUMNS="80", NO_COLOR="1", PYTHON_COLORS="0")
        sys.path.insert(0, self.root)
        from localagent.cli.documentation import man_page
        from localagent.cli.main import build_parser

        page = Path(self.directory, "localagent.1")
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(man_page(build_parser()), encoding="utf-8", newline="\n")
        build_data["shared_data"][str(page)] = "share/man/man1/localagent.1"

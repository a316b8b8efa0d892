"""`localagent docs`: the pages that come with the package, readable offline."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from localagent.cli.options import add_command
from localagent.cli.output import say, table
from localagent.core.errors import UsageError

if TYPE_CHECKING:
    from localagent.cli.options import Commands

FOLDER = Path(__file__).resolve().parent.parent / "docs"


def register(commands: Commands) -> None:
    """Add the command."""
    text = "List the pages that come with localagent, or print one."
    parser = add_command(commands, "docs", "the documentation, offline", description=text)
    parser.add_argument("page", metavar="PAGE", nargs="?", help="a page of the list")
    parser.set_defaults(execute=execute)


def execute(args: argparse.Namespace) -> int:
    """Print the list of pages, or one page."""
    pages = {
        path.relative_to(FOLDER).with_suffix("").as_posix(): path
        for path in sorted(FOLDER.rglob("*.md"))
    }
    if args.page is None:
        table([(name, _title(path)) for name, path in pages.items()])
        return 0
    name = args.page.removesuffix(".md")
    if name not in pages:
        raise UsageError(f"there is no page {args.page!r}", f"the pages are: {', '.join(pages)}")
    say(pages[name].read_text(encoding="utf-8").rstrip("\n"))
    return 0


def _title(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.readline().lstrip("# ").strip()

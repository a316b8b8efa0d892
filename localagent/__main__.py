"""Entry point of `localagent`, `python -m localagent` and `python -I -S localagent/__main__.py`."""

import os
import signal
import sys

if __name__ == "__main__" and not __package__:  # started as a file: see core/isolation.py
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120

_HARMLESS = (["--version"], ["--help"], ["-h"])
"""Command lines that only print a text: localagent starts at once, and does not lock itself."""


def main() -> int:
    """Run the command line and return its exit code.

    Until the modules are loaded, Ctrl-C ends the process without a traceback.
    """
    stops = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if stops:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.argv[1:] not in _HARMLESS or sys.flags.no_site:
        from localagent.core.isolation import isolate

        isolate(sys.argv[1:])
    from localagent.cli import startup
    from localagent.cli.main import main as cli_main

    if stops:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return cli_main(sys.argv[1:], startup.prepare)
    finally:
        startup.finish()


if __name__ == "__main__":
    sys.exit(main())

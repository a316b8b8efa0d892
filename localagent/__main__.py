"""Entry point of `localagent` and `python -m localagent`."""

import sys


def main() -> int:
    """Run the command line and return its exit code."""
    from localagent import start
    from localagent.cli import main as cli_main

    try:
        return cli_main(sys.argv[1:], start.prepare)
    finally:
        start.finish()


if __name__ == "__main__":
    sys.exit(main())

"""Entry point of `localagent` and `python -m localagent`."""

import sys


def main() -> int:
    """Run the command line and return its exit code."""
    from localagent.cli import startup
    from localagent.cli.main import main as cli_main

    try:
        return cli_main(sys.argv[1:], startup.prepare)
    finally:
        startup.finish()


if __name__ == "__main__":
    sys.exit(main())

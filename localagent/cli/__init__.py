"""The command line: one module for each group of commands, and one module that prints results.

To add a command, touch two files:

1. Write a module here. Its function takes the parsed arguments and returns a `CliResult`:
   `outputs` for people (`Output` texts, tables, notes) and `data` for `--json`. It prints
   nothing; `args.console` asks the user and shows progress. Import heavy modules inside it.
2. In the same module, `register(commands)` adds the parser:
   `add_command(commands, name, summary, function, description=…, epilog=…)`. The texts are the
   command's help; `add_directory` adds -C, `add_json` adds --json.
3. Add the module to `_COMMANDS` of `main.py`, where `--help` should list it.

`scripts/update-docs` then adds the help text to `docs/cli.md`.
"""

"""The project's check: run the command, read its result, trace the executed lines."""

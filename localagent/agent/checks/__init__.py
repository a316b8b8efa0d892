"""The project's check: running it, reading its result, measuring coverage."""

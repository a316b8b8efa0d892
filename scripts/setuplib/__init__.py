"""Sets up a checkout of localagent, with nothing but Python's standard library."""

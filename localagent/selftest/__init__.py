"""Escape tests: attempts to get out of a sandbox, and the runner that counts them."""

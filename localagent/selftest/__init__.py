"""Escape tests: attempts to leave a sandbox, their targets, and their runner."""

"""Sandboxes: run commands in a snapshot of the workspace, apart from the rest of the machine."""

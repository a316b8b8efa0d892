"""Checkpoints: the old state of every path that a turn changes, stored so that undo restores it."""

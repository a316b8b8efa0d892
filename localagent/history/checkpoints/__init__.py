"""Checkpoints: what a turn changed, kept so that undo restores it byte for byte."""

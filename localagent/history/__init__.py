"""The journal: transcript, checkpoints, undo."""

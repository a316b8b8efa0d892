"""What sessions leave on disk: transcripts, the audit log, and checkpoints for undo."""

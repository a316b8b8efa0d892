"""The launcher: a separate process that starts a confined command and limits it."""

"""Sessions on disk: transcripts, their catalog, and replay."""

"""Sessions on disk: transcripts, the catalogue, fork, replay, pruning."""

"""Sessions: build, run, record and replay a conversation in a workspace."""

"""Which models there are: the lock file, the model store, and where files come from."""

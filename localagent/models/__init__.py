"""Models: the `Model` protocol, the lock file, the store, and the backends."""

"""Finding code: the `Index` protocol and its implementations."""

"""Finds code: the `Index` protocol and its implementation on disk."""

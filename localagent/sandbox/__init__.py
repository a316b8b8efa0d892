"""Sandboxes behind one protocol, one module a kind."""

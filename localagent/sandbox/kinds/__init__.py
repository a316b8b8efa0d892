"""The kinds of sandboxes, one module each."""

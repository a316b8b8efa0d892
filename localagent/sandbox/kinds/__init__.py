"""The kinds of sandbox, one module each."""

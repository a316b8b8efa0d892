"""Secrets: their patterns, the files that hold them, and the placeholders that replace them."""

"""Reads tool calls from replies, one module a form, and carries them out."""

"""Reads tool calls from replies, with one module for each form of call, and carries them out."""

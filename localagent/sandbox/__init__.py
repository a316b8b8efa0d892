"""Sandboxes: where commands run, and what they can touch."""

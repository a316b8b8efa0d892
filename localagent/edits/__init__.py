"""Edits: parse the edits in a model's reply, and apply them to text. Pure functions only."""

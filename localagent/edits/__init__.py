"""Pure functions on text: the edits in a model's reply, and how they change a file."""

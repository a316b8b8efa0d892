"""The interactive session without a terminal: what a line that the user enters brings about."""

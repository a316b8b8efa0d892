"""The interactive session in a terminal: drawn inline, so that scrollback and copying work."""

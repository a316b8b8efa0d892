"""The interactive session in a terminal: inline, so that scrollback, tmux, ssh and copying work."""

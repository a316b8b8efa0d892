"""The launcher: a process of its own that starts confined commands and limits them."""

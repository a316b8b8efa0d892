"""Front ends, which draw events and ask the user questions."""

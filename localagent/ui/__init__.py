"""Front ends: they draw events and answer questions."""

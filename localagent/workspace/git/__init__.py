"""Run git safely: read its state, prepare commits, and adopt commits made in a sandbox."""

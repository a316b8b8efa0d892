"""Self-test of the sandboxes: escape tests, which try to leave a sandbox, and their targets."""

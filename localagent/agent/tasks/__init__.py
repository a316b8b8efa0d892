"""Short texts that the model writes: commit messages and titles."""

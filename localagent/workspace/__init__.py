"""The user's folder: its files, its ignore rules, and git."""

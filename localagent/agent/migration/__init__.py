"""Migrations of a database: the harness splits a column, the model writes small pieces of it."""

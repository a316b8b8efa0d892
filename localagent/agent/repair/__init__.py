"""The search for a change that makes the project's check pass."""

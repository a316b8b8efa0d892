"""The agent: its loop, its planners, and the check of each change."""

"""What a CI job gets from a run: a log with groups, reports for its tools, and a summary."""

"""git as localagent runs it: read, stage, commit, and adopt commits made in a sandbox."""

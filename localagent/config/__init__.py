"""Settings: their schema and sources, the administrator's policy, edits of settings files."""

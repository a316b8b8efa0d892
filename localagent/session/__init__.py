"""Sessions: one conversation each, its parts, its recorders and its replay."""

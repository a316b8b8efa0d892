"""The views of both front ends: turns, diffs, Markdown, themes."""

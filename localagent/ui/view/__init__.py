"""Views that both front ends use: turns, diffs, Markdown, themes."""

"""What both front ends draw: turns, diffs, Markdown, the theme."""

"""Snapshots of the workspace: overlays and copies, and their changes."""

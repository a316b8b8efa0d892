"""Snapshots of the workspace, as overlays or copies, and the changes that commands make in them."""

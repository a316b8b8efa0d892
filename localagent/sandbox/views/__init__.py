"""Views of the workspace: what a command sees and changes in the workspace's place."""

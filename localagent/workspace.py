"""The workspace: the one folder that the agent may look at and change."""

"""Permissions: rules for actions, grants for a workspace, and consent to a project's files."""

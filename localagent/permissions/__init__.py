"""May it be done? The rules, the grants of a workspace, and consent to a project's files."""

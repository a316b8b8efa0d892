"""The project of a command: workspace, settings, consent, rules, prompts and commands."""

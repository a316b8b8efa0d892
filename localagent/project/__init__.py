"""The project that a command works on: settings, consent, rules, prompts and commands."""

"""Builds the content of the model's window: prompts, code, rules, and the conversation."""

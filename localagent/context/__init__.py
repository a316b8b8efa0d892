"""What the model is shown: prompts and the context that fills the window."""

"""Chat templates: what each can do (`probe`), and the text of a conversation (`render`)."""

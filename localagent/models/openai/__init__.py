"""The OpenAI backend: models in servers that speak OpenAI's API, on this machine by default."""

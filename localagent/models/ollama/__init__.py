"""The Ollama backend: requests to a server on this machine."""

"""The llama.cpp backend: a client, and the worker process that it starts."""

"""The worker process: it loads a model with llama.cpp and answers requests over a pipe."""

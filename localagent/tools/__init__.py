"""Tools that a model can call, one module each."""

"""Small changes of lines, made without the model."""

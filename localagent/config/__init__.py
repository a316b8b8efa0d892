"""Settings: their schema, their layers, their policy."""

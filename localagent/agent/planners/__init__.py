"""Planners: how a turn is carried out, one module each."""

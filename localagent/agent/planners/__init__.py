"""Planners, which carry out turns; one module each."""

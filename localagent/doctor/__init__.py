"""Examine this machine and report whether localagent works on it (`localagent doctor`)."""

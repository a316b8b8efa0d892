"""localagent: a terminal coding agent that runs local models and lets nothing leave the machine."""

__version__ = "0.1.0"

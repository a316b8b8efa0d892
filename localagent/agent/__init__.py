"""The agent: the loop, its planners, and how a change is checked."""

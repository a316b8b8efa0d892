"""Strategies: ways to ask for a change, one module each. The search tries them in order.

A strategy is a generator function that yields drafts to be asked for side by side. It is resumed
after they were judged, and can look at the board to decide what to ask for next. To add one, write
such a function and name it in `planners/workflow.py`.
"""

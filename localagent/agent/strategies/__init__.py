"""Strategies: ways to ask for a change, one module each. The search tries them in order.

A strategy is a generator function `(turn, problem, board) -> Iterator[Draft]`. It is resumed after
each draft was judged, and can look at the board to decide what to ask for next. To add one, write
such a function and name it in `planners/workflow.py`.
"""

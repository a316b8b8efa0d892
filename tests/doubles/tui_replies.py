"""Scripts of replies for sessions in a terminal."""

from __future__ import annotations

ANSWER = """\
--- reply to = "chat", repeat = true
The function `add` **adds** two numbers; it is in `calc.py`, and it is called by the tests that \
lie beside it.

```python
def add(a, b):
    return a + b  # sum
```

- one
- two
"""
SLOW = """\
--- reply to = "chat", repeat = true, pace = 0.02
""" + "\n".join(f"line {n} of a long answer, with words enough to wrap" for n in range(400))
READING = """\
--- reply to = "chat", reading = 600
never said
--- reply to = "chat", repeat = true
said later
"""
SOLUTION = "--- reply repeat = true\ndef add(a, b):\n    return a + b\n```\n"

"""What `doctor` says of the terminal: it is looked at, nothing is asked of it."""

from __future__ import annotations

import os
import sys

from localagent.doctor.report import Part, Problem

_NARROW = 40  # columns below which lines of the session are cut


def terminal_part() -> Part:
    """TERM, size, colours, unicode, tmux; and how a session would begin here."""
    from localagent.ui.view.terminal import able
    from localagent.ui.view.tty import can_be_drawn_over

    shown, can = sys.stdout.isatty(), able(sys.stdout)
    term = os.environ.get("TERM", "")
    size = os.get_terminal_size(sys.stdout.fileno()) if shown else None
    inside = next((name for name in ("TMUX", "STY") if os.environ.get(name)), "")
    within = {"TMUX": "in tmux", "STY": "in screen", "": "not in tmux or screen"}[inside]
    drawn = can_be_drawn_over()
    lines = [
        f"TERM={term or '(not set)'}, {within}",
        f"size: {size.columns} x {size.lines}" if size else "the output is not a terminal",
        f"colours: {can.colours}" + (", NO_COLOR is set" if "NO_COLOR" in os.environ else ""),
        f"signs: {'unicode' if can.unicode else 'plain ASCII'} (encoding {can.encoding})",
        f"a session here would be {'drawn inline' if drawn else 'line by line'}",
    ]
    problems = []
    if shown and not can.unicode:
        mend = "set LANG to a locale of UTF-8, such as C.UTF-8"
        problems.append(Problem("the terminal is not known to show unicode", mend, fatal=False))
    if shown and not drawn:
        mend = "set TERM to what the terminal is, such as xterm-256color"
        problems.append(Problem("it is said to show plain lines only", mend, fatal=False))
    if size is not None and size.columns < _NARROW:
        said = f"it is only {size.columns} columns wide"
        problems.append(Problem(said, f"{_NARROW} columns or more are better", fatal=False))
    data = {
        "term": term,
        "columns": size and size.columns,
        "lines": size and size.lines,
        "colours": can.colours,
        "unicode": can.unicode,
        "encoding": can.encoding,
        "tmux": inside == "TMUX",
        "inline": drawn,
    }
    return Part("terminal", tuple(lines), tuple(problems), data)

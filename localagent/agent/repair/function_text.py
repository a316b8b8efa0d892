"""A Python function as the model reads it alone: its class's head, comments, no docstring."""

from __future__ import annotations

import ast
import textwrap
import tokenize
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from localagent.agent.repair.parsed_text import Function, parse

STRING = 0.1
"""The weight of a place in a string: most strings are messages that no test reads."""


SIGNATURE = 0.02
"""The weight of a signature, as a part of the most suspicious line's: a default may be wrong, but
most of the tokens that a model expects there are other names and annotations."""


@dataclass(frozen=True, slots=True)
class LineEdit:
    """New `lines` in place of the next `replaced` lines from line `number` of a file.

    A higher `score` is likelier; it is the logarithm of a probability.
    """

    number: int
    replaced: int
    lines: tuple[str, ...]
    score: float


@dataclass(frozen=True)
class FunctionText:
    """A function in the file of `source` lines, from line `first` to `last`.

    `read` maps the numbers of the lines that the model reads to their weights: how suspicious they
    are, above 0 for a line that may change. `head` is the text before them. Offsets and columns are
    in bytes, as the model counts them.
    """

    source: tuple[str, ...]
    first: int
    last: int
    head: str
    read: Mapping[int, float]

    @cached_property
    def text(self) -> str:
        """All that the model reads."""
        return self.head + "".join(f"{self.source[n - 1]}\n" for n in self.read)

    @cached_property
    def _starts(self) -> dict[int, int]:
        """The byte of the text at which each line begins, by the line's number."""
        at, starts = len(self.head.encode()), {}
        for number in self.read:
            starts[number] = at
            at += len(self.source[number - 1].encode()) + 1
        return starts

    @cached_property
    def _prose(self) -> list[tuple[int, int, int, bool]]:
        """The comments and strings: a line's number, two columns, and whether it is a comment."""
        lines = self.source[self.first - 1 : self.last]
        found = []
        try:
            for token in tokenize.generate_tokens(iter(f"{line}\n" for line in lines).__next__):
                if token.type in (tokenize.COMMENT, tokenize.STRING):
                    (row, start), (_, end) = token.start, token.end
                    before = len(lines[row - 1][:start].encode())
                    size = len(lines[row - 1][start:end].encode())
                    is_comment = token.type == tokenize.COMMENT
                    found.append((row + self.first - 1, before, before + size, is_comment))
        except (tokenize.TokenError, IndentationError):
            pass  # a part of a file need not end well
        return found

    def weight(self, number: int, column: int) -> float:
        """The weight of a place: none in a comment, a tenth inside of a string."""
        for row, start, end, is_comment in self._prose:
            if row == number and start < column < end:
                return 0.0 if is_comment else self.read[number] * STRING
        return self.read[number]

    @property
    def start(self) -> int:
        """The byte of the text before which nothing may change."""
        return next((self._starts[n] for n, weight in self.read.items() if weight), 0)

    def before(self, number: int) -> str:
        """What the model reads before a line; all if the line comes after the text."""
        return self.text.encode()[: self._starts.get(number)].decode()

    def locate(self, offset: int) -> tuple[int, int]:
        """The number of the line at a byte of the text, and the byte's column in the line."""
        numbers, starts = list(self._starts), list(self._starts.values())
        place = max(0, bisect_right(starts, offset) - 1)
        return numbers[place], offset - starts[place]

    def form(self, edit: LineEdit | None = None) -> str | None:
        """The function's syntax tree as text after an edit; None if it does not parse."""
        lines = list(self.source[self.first - 1 : self.last])
        if edit is not None:
            at = edit.number - self.first
            lines[at : at + edit.replaced] = edit.lines
        tree = parse(textwrap.dedent("\n".join(lines)))
        return None if tree is None else ast.dump(tree)

    def file(self, edit: LineEdit) -> str:
        """The text of the whole file after an edit."""
        at = edit.number - 1
        lines = [*self.source[:at], *edit.lines, *self.source[at + edit.replaced :]]
        return "\n".join(lines) + "\n"


def read_function(
    text: str, line: int, weights: Mapping[int, float], comments: Sequence[str], most: int
) -> FunctionText | None:
    """The innermost function that holds a line of a file's `text`, with `comments` above it.

    `weights` has the suspicion of executed lines. The model reads at most `most` lines: the
    signature and the most suspicious part of the body, without the docstring. None if no function
    holds the line, or the text does not parse.
    """
    tree = parse(text)
    if tree is None or "\f" in text:  # splitlines and the parser count lines differently there
        return None
    function, owner = enclosing(tree, line)
    if function is None:
        return None
    source, last = tuple(text.splitlines()), function.end_lineno or function.lineno
    weighed = _weights_of_lines(function, weights)
    body = function.body[0].lineno
    hidden = docstring_lines(function)
    inside = [n for n in range(body, last + 1) if n not in hidden]
    window = max(
        range(max(1, len(inside) - most + 1)),
        key=lambda at: sum(weighed.get(n, 0.0) for n in inside[at : at + most]),
    )
    shown = [*range(function.lineno, body), *inside[window : window + most]]
    while len(shown) > 1 and not weighed.get(shown[-1]):
        shown.pop()  # the model need not read what follows the last suspicious line
    indent = " " * function.col_offset
    above = [source[owner.lineno - 1]] if owner is not None else []
    above += [f"{indent}# {comment}" for comment in comments]
    head = "".join(f"{line}\n" for line in above)
    read = {n: weighed.get(n, 0.0) for n in dict.fromkeys(shown)}
    return FunctionText(source, function.lineno, last, head, read)


def enclosing(tree: ast.Module, line: int) -> tuple[Function | None, ast.ClassDef | None]:
    """The innermost function that holds the line, and the class whose method it is."""
    function: Function | None = None
    owner: ast.ClassDef | None = None
    nodes: list[ast.AST] = [tree]
    while nodes:
        node = nodes.pop()
        for child in ast.iter_child_nodes(node):
            if not getattr(child, "lineno", line) <= line <= (getattr(child, "end_lineno", 0) or 0):
                continue
            if isinstance(child, Function):
                function, owner = child, node if isinstance(node, ast.ClassDef) else None
            nodes.append(child)
    return function, owner


def _weights_of_lines(function: Function, weights: Mapping[int, float]) -> dict[int, float]:
    """The weight of each line of a function: that of the innermost statement on it.

    A trace has only the first line of a statement. The signature runs at import.
    """
    weighed: dict[int, float] = {}
    statements = [node for node in ast.walk(function) if isinstance(node, ast.stmt)]
    statements.sort(key=lambda node: (node.lineno, -(node.end_lineno or node.lineno)))
    for node in statements:
        own = weights.get(node.lineno, 0.0)
        if node is function:
            own = max((weights.get(s.lineno, 0.0) for s in statements[1:]), default=0.0)
            own *= SIGNATURE
        last = function.body[0].lineno - 1 if node is function else node.end_lineno
        for number in range(node.lineno, max(node.lineno, last or 0) + 1):
            weighed[number] = own
    return weighed


def docstring_lines(function: Function) -> range:
    """The lines of the docstring; none if the function has only a docstring."""
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is None or len(function.body) == 1:
        return range(0)
    return range(first.lineno, (first.end_lineno or first.lineno) + 1)

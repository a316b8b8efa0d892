"""Finding where a model left code out ("# ... existing code ...")."""

from __future__ import annotations

import re

_MARK = r"(?:#+|//+|/\*+|\*|<!--|--|;+|%+|\{/\*)"
_DOTS = r"(?:\.{3,}|…)"
# What such comments say, in the words of the models that write them.
_WORDS = (
    r"(?:rest of|remaining|existing|unchanged|same as (?:before|above)|as before|omitted|"
    r"previous(?:ly)?|other (?:methods|functions|code|imports|classes|tests)|original|"
    r"remains? the same|stays? the same|no changes?|your (?:code|implementation))"
)
_COMMENT_DOTS = re.compile(rf"^\s*{_MARK}\s*[\[(<]?\s*{_DOTS}.*$")
_COMMENT_END = re.compile(rf"^\s*{_MARK}.*{_WORDS}.*{_DOTS}\s*[\])>]?\s*(?:\*/\}}?|-->)?\s*$", re.I)
_COMMENT_PLAIN = re.compile(
    rf"^\s*{_MARK}\s*[\[(<]?\s*(?:the\s+|all\s+)?(?:rest of|remaining|existing|other)\s"
    rf"(?:the\s+|your\s+)?\S*\s?(?:code|file|function|functions|method|methods|class|classes|"
    rf"implementation|imports|content|tests|logic)\b.{{0,40}}$",
    re.I,
)
_COMMENT_SAME = re.compile(
    rf"^\s*{_MARK}.{{0,60}}\b(?:(?:remains?|stays?)\s+(?:the\s+same|unchanged)|(?:is|are)\s+unchanged)"
    r"\b.{0,40}$",
    re.I,
)
_BARE = re.compile(rf"^\s*[\[(<]?\s*{_DOTS}\s*(?:{_WORDS}.{{0,60}})?[\])>]?\s*$", re.I)
_PATTERNS = (_COMMENT_DOTS, _COMMENT_END, _COMMENT_PLAIN, _COMMENT_SAME)


def elided_line(new: str, old: str = "") -> tuple[int, str] | None:
    """The first line of `new` that stands for code left out, and its number; None where none does.

    Lines that `old` has as well are not counted: they are the file's own. Neither is `...` where
    Python takes it as a body.
    """
    own = {line.strip() for line in old.split("\n")}
    before = ""
    for number, line in enumerate(new.split("\n"), 1):
        bare = line.strip()
        if bare and bare not in own:
            if any(pattern.match(line) for pattern in _PATTERNS):
                return number, line
            if _BARE.match(line) and not _is_body(bare, before):
                return number, line
        if bare:
            before = bare
    return None


def _is_body(bare: str, before: str) -> bool:
    """Whether a line `...` is a Python body: it follows a header or a docstring."""
    return bare == "..." and before.endswith((":", '"""', "'''", ">>>"))

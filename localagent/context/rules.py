"""The rules that a user and a project give the model, as a part of prompts.

The user's own and those of the project's root follow the system's text in every prompt, so they
stay the same, byte for byte, for as long as the session and its model do. Rules of a folder come
with the files of that folder. Long preambles make small models worse and slow to start, so both are
bounded by a share of the window, and cut, saying so, at a line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from localagent.context.excerpt import Count
from localagent.context.prompts import Prompts

SHARE = 1 / 16
"""Of the window, for all the rules that every prompt begins with; the user's own may take half."""

FOLDER_SHARE = 1 / 32
"""Of the window, for the rules of one folder."""


_BETWEEN = 2  # tokens, at most, of what separates two of them


@dataclass(frozen=True, slots=True)
class RuleText:
    """Rules, and the file that they are from, as the model is told; `own` are the user's. `notice`
    is what a person should know of rules that are not used. `sha256` is the file's."""

    path: str
    text: str
    own: bool = False
    notice: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Framed:
    """Rules as the model sees them, and what a person should know about them, or ""."""

    text: str = ""
    notice: str = ""


class Rules:
    """All rules of a session. `folder` finds those of the nearest folder above a file that has
    some, the workspace's root aside."""

    def __init__(
        self,
        texts: Sequence[RuleText] = (),
        folder: Callable[[str], RuleText | None] = lambda _path: None,
    ) -> None:
        self._texts = tuple(rule for rule in texts if rule.text.strip())
        self._folder = folder
        self._framed: dict[tuple[str, ...], Framed] = {}
        self._told: set[str] = set()
        self._untold: dict[tuple[str, str], None] = {}

    def fixed(self, prompts: Prompts, model: str, count: Count, window: int) -> str:
        """The rules that every prompt begins with, "" where there are none. `model` is the id of
        the one that `count` counts for."""
        budget = int(window * SHARE)
        parts: list[str] = []
        for rule in self._texts:
            framed = self._fit(rule, prompts, model, count, budget // 2 if rule.own else budget)
            if framed.text:
                parts.append(framed.text)
                self._untold[rule.path, rule.sha256] = None
                budget -= count(framed.text) + _BETWEEN
        return "\n\n".join(parts)

    def of(self, path: str, prompts: Prompts, model: str, count: Count, window: int) -> str:
        """The rules of the folder that the file at `path` is in, or ""."""
        rule = self._folder(path)
        if rule is None:
            return ""
        if not rule.text.strip():
            self._framed[(rule.path,)] = Framed(notice=rule.notice)
            return ""
        return self._fit(rule, prompts, model, count, int(window * FOLDER_SHARE)).text

    def drain_reads(self) -> list[tuple[str, str]]:
        """The files whose rules `fixed` gave since the last call, each with its SHA-256."""
        found = []
        while self._untold:
            found.append(self._untold.popitem()[0])
        return sorted(found)

    def file_of(self, path: str) -> tuple[str, str]:
        """The file that the rules of `of` are from, where they are not "", and its SHA-256."""
        rule = self._folder(path)
        return (rule.path, rule.sha256) if rule else ("", "")

    def drain_warnings(self) -> list[str]:
        """What a person should know of the rules used so far; each is told once."""
        found = [framed.notice for framed in self._framed.values() if framed.notice]
        new = [notice for notice in dict.fromkeys(found) if notice not in self._told]
        self._told.update(new)
        return new

    def _fit(
        self, rule: RuleText, prompts: Prompts, model: str, count: Count, budget: int
    ) -> Framed:
        key = (model, str(budget), rule.path, rule.text)
        if key not in self._framed:
            self._framed[key] = _fitted(rule, prompts, count, budget)
        return self._framed[key]


def _fitted(rule: RuleText, prompts: Prompts, count: Count, budget: int) -> Framed:
    """The rules in their frame, as many lines as fit into `budget` tokens."""
    lines = rule.text.strip().splitlines()
    whole = _frame(rule, prompts, lines, len(lines))
    needed = count(whole)
    if needed <= budget:
        return Framed(whole)
    low, high = 0, len(lines) - 1
    while low < high:  # the most lines that fit
        middle = (low + high + 1) // 2
        if count(_frame(rule, prompts, lines, middle)) <= budget:
            low = middle
        else:
            high = middle - 1
    if low == 0:
        why = f"{rule.path} is not used: not even its first line fits {budget} tokens"
        return Framed("", f"{why}, the share of the model's window for rules")
    notice = (
        f"of {rule.path} the model sees the first {low} of {len(lines)} lines: it is {needed} "
        f"tokens long, and the share of the model's window for rules holds {budget}"
    )
    return Framed(_frame(rule, prompts, lines, low), notice)


def _frame(rule: RuleText, prompts: Prompts, lines: Sequence[str], shown: int) -> str:
    # What the rules hold cannot end the frame that marks them as such.
    text = "\n".join(lines[:shown]).replace("</rules", "< /rules")
    if shown < len(lines):
        left = str(len(lines) - shown)
        text += "\n" + prompts.render("rules/cut", left=left, path=rule.path)
    name = "own" if rule.own else "project"
    return prompts.render(f"rules/{name}", text=text, path=rule.path)

"""Formats the rules of the user and the project as parts of prompts.

The rules of the user and of the root folder follow the system prompt. These rules stay the same,
byte for byte, as long as the session and the model. A folder's rules come with the files of that
folder. Long rules make small models worse and slow to start, so each kind of rules gets a share of
the window. Longer rules are cut at a line, and a line says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from localagent.context.excerpt import Count, most_that_fit
from localagent.context.limits import CONTEXT
from localagent.context.prompts import Prompts


@dataclass(frozen=True, slots=True)
class RuleText:
    """The rules in one file. `own` marks the user's rules. `notice` warns of unused rules."""

    path: str
    text: str
    own: bool = False
    notice: str = ""
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class FramedRules:
    """Rules as the model reads them, and a warning for the user; both may be ""."""

    text: str = ""
    warning: str = ""


class PromptRules:
    """All rules of a session, in the form for prompts.

    `folder` returns the rules of the nearest folder above a file that has rules, except the root.
    """

    def __init__(
        self,
        texts: Sequence[RuleText] = (),
        folder: Callable[[str], RuleText | None] = lambda _path: None,
    ) -> None:
        self._texts = tuple(rule for rule in texts if rule.text.strip())
        self._folder = folder
        self._framed: dict[tuple[str, ...], FramedRules] = {}
        self._warned: set[str] = set()
        self._unreported: set[tuple[str, str]] = set()

    def fixed(self, prompts: Prompts, model: str, count: Count, window: int) -> str:
        """The rules that begin every prompt, or "".

        `model` is the id of the model whose tokens `count` counts.
        """
        budget = int(window * CONTEXT.rules_share)
        parts: list[str] = []
        for rule in self._texts:
            framed = self._fit(rule, prompts, model, count, budget // 2 if rule.own else budget)
            if framed.text:
                parts.append(framed.text)
                self._unreported.add((rule.path, rule.sha256))
                budget -= count(framed.text) + CONTEXT.separator_tokens
        return "\n\n".join(parts)

    def of(self, path: str, prompts: Prompts, model: str, count: Count, window: int) -> str:
        """The rules of the folder of the file at `path`, or ""."""
        rule = self._folder(path)
        if rule is None:
            return ""
        if not rule.text.strip():
            self._framed[(rule.path,)] = FramedRules(warning=rule.notice)
            return ""
        budget = int(window * CONTEXT.folder_rules_share)
        return self._fit(rule, prompts, model, count, budget).text

    def drain_reads(self) -> list[tuple[str, str]]:
        """The files whose rules `fixed` returned since the last call, each with its SHA-256."""
        files, self._unreported = sorted(self._unreported), set()
        return files

    def file_of(self, path: str) -> tuple[str, str]:
        """The path and SHA-256 of the file whose rules `of` returns; "" and "" without rules."""
        rule = self._folder(path)
        return (rule.path, rule.sha256) if rule else ("", "")

    def drain_warnings(self) -> list[str]:
        """The warnings about the rules used so far; each warning is returned once."""
        warnings = dict.fromkeys(framed.warning for framed in self._framed.values())
        new = [text for text in warnings if text and text not in self._warned]
        self._warned.update(new)
        return new

    def _fit(
        self, rule: RuleText, prompts: Prompts, model: str, count: Count, budget: int
    ) -> FramedRules:
        key = (model, str(budget), rule.path, rule.text)
        if key not in self._framed:
            self._framed[key] = _fit_rules(rule, prompts, count, budget)
        return self._framed[key]


def _fit_rules(rule: RuleText, prompts: Prompts, count: Count, budget: int) -> FramedRules:
    """Put rules into their frame, cut to the lines that fit into `budget` tokens."""
    lines = rule.text.strip().splitlines()
    whole = _frame(rule, prompts, lines, len(lines))
    needed = count(whole)
    if needed <= budget:
        return FramedRules(whole)
    fit = most_that_fit(len(lines) - 1, budget, lambda n: count(_frame(rule, prompts, lines, n)))
    if not fit:
        why = f"{rule.path} is not used: not even its first line fits {budget} tokens"
        return FramedRules("", f"{why}, the share of the model's window for rules")
    warning = (
        f"of {rule.path} the model reads the first {fit} of {len(lines)} lines: the file has "
        f"{needed} tokens, and the share of the model's window for rules holds {budget}"
    )
    return FramedRules(_frame(rule, prompts, lines, fit), warning)


def _frame(rule: RuleText, prompts: Prompts, lines: Sequence[str], most: int) -> str:
    # The text of the rules must not close the frame that marks it as rules.
    text = "\n".join(lines[:most]).replace("</rules", "< /rules")
    if most < len(lines):
        left = str(len(lines) - most)
        text += "\n" + prompts.render("rules/cut", left=left, path=rule.path)
    name = "own" if rule.own else "project"
    return prompts.render(f"rules/{name}", text=text, path=rule.path)

"""From a small model's reply to a commit message that git and people can use.

Small models wrap what they were asked for: in fences, quotes, "Here is the commit message:",
headings, explanations. What is left is put into the form that git's documentation recommends: a
subject of at most 72 characters, an empty line, a body of lines of at most 72.
"""

from __future__ import annotations

import re
import textwrap

WIDTH = 72
BODY_LINES = 8

_FENCE = re.compile(r"^```[^\n]*\n(.*?)(?:^```|\Z)", re.MULTILINE | re.DOTALL)
# Lines before the message: "Sure! Here's a commit message for this diff:".
_PREFACE = re.compile(
    r"(?:sure|certainly|okay|ok|here(?:'s|’s| is| are)|the (?:commit )?message|based on)\b.*[:!.]$",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"^(?:git )?(?:commit )?(?:message|subject|title|summary)\s*:\s*", re.IGNORECASE
)
_REFUSAL = re.compile(r"(?:i'm sorry|i am sorry|sorry|i cannot|i can't|as an ai)\b", re.IGNORECASE)
# What no message begins with: lines of a diff, tags of a template, code.
_NO_MESSAGE = re.compile(r"(?:diff --git|@@|\+\+\+|---|[+<{\[|\\]|index [0-9a-f]{7})")
# "Fix: Add x": a kind of change in front of what is a sentence without it.
_KIND = re.compile(r"(?:fix|feat|feature|chore|refactor|docs|test|style)\s*:\s*", re.IGNORECASE)
# Nobody but a person may say who signed or wrote something.
_TRAILER = re.compile(r"[\w-]+-by\s*:", re.IGNORECASE)
_VERBS = (
    *(
        "add",
        "adjust",
        "allow",
        "avoid",
        "change",
        "clarify",
        "clean",
        "correct",
        "create",
        "document",
    ),
    *("enable", "ensure", "extend", "extract", "fix", "handle", "implement", "improve", "include"),
    *("introduce", "limit", "make", "merge", "move", "pin", "prevent", "raise", "reduce"),
    *("refactor", "refine", "remove", "rename", "replace", "return", "rework", "simplify"),
    *("split", "stop", "support", "switch", "test", "update", "use", "validate", "write"),
)
_IRREGULAR = {"made": "make", "wrote": "write", "split": "split", "making": "make"}
# A subject that is cut must not end in one of these.
_LOOSE = {"a", "an", "and", "as", "at", "by", "for", "from", "in", "into", "of", "on", "or"} | {
    *("so", "that", "the", "to", "when", "which", "with", "without")
}


def tidy(reply: str, body: bool) -> str | None:
    """The message that `reply` holds, with a body where `body` asks for one; None where it holds
    none."""
    lines = _lines(reply)
    if not lines or not _usable(lines[0]):
        return None
    subject = _imperative(lines[0].rstrip(" .:;,"))
    short = shortened(subject)
    rest = lines[1:] if body else []
    if short != subject:
        rest = [subject, *rest]
    wrapped = _wrapped(rest)
    return "\n".join([short, "", *wrapped]) if wrapped else short


def shortened(subject: str) -> str:
    """`subject` cut at a word's end, to at most 72 characters."""
    if len(subject) <= WIDTH:
        return subject
    words = subject[: WIDTH + 1].split(" ")[:-1] or [subject[:WIDTH]]
    while len(words) > 1 and words[-1].lower().strip(",;:") in _LOOSE:
        words.pop()
    return " ".join(words).rstrip(" ,;:.")


def _lines(reply: str) -> list[str]:
    """The lines of the message itself, undressed; empty lines are left out."""
    fenced = _FENCE.search(reply)
    text = fenced[1] if fenced and fenced[1].strip() else reply.replace("```", "")
    found: list[str] = []
    for raw in text.splitlines():
        line = raw.strip() if found else _undressed(raw)
        if not line or (not found and _PREFACE.match(line)) or _TRAILER.match(line):
            continue
        found.append(line)
    return found


def _undressed(line: str) -> str:
    """A subject without label, quotes, marks of headings, lists and bold."""
    line = line.strip()
    while True:
        bare = _LABEL.sub("", line.strip("\"'`“”*# "), count=1) if line else ""
        bare = re.sub(r"^(?:[-•]|\d+[.)]) +", "", bare)
        if bare == line:
            return bare
        line = bare


def _usable(subject: str) -> bool:
    letters = sum(c.isalpha() for c in subject)
    refused = _REFUSAL.match(subject) or _NO_MESSAGE.match(subject)
    return letters >= 4 and " " in subject and not refused


def _imperative(subject: str) -> str:
    """ "Added x", "Adds x", "adding x" and "Fix: add x" as "Add x"; others stay as they are."""
    bare = _KIND.sub("", subject, count=1) if _KIND.match(subject) else subject
    first, _, rest = bare.partition(" ")
    verb = _base(first.lower())
    if verb is None:
        word = subject.partition(" ")[0]  # of "parser: read dates" nothing is changed
        return subject[:1].upper() + subject[1:] if word.isalpha() else subject
    return f"{verb.capitalize()} {rest}"


def _base(word: str) -> str | None:
    if word in _VERBS:
        return word
    for verb in _VERBS:
        stem = verb.removesuffix("e")
        doubled = verb + verb[-1]
        forms = {f"{verb}s", f"{verb}es", f"{stem}ed", f"{stem}ing"}
        forms |= {f"{doubled}ed", f"{doubled}ing"}
        if verb.endswith("y"):
            forms |= {f"{verb[:-1]}ies", f"{verb[:-1]}ied"}
        if word in forms:
            return verb
    return _IRREGULAR.get(word)


def _wrapped(lines: list[str]) -> list[str]:
    """The body's lines, wrapped; "* x" becomes "- x", and no line begins with "#", which git would
    take for a comment."""
    found: list[str] = []
    for line in lines:
        text = re.sub(r"^[*•] +", "- ", line).lstrip("# ").replace("**", "").replace("`", "")
        indent = "  " if text.startswith("- ") else ""
        found += textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False)
    return found[:BODY_LINES]

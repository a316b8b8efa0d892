"""A commit message for what is staged, written by a small model.

The diff is cut to what a small model can hold, and what two processor cores read in about half a
minute: every file gets its share, and what a small file does not need goes to the larger ones.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from localagent.agent.model_calls import Tell, ask_once
from localagent.code.file_kinds import is_data
from localagent.context.prompts import Prompts
from localagent.core.events import FileRead
from localagent.core.messages import Message
from localagent.models.base import Model, Request
from localagent.redaction.secret_files import is_secret
from localagent.workspace.git.staged import StagedFile

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


# Tokens of diff that are shown at most. At the 50 to 75 tokens a second that two cores read, half a
# minute, which is what somebody who commits may wait.
DIFF_TOKENS = 2000
# Tokens kept free for the instruction, the list of files and the reply.
_RESERVE = 700
# Characters of code to a token, on the low side; the model's own count corrects it.
_CHARACTERS = 3
# From this many changed lines or files on, a subject alone says too little.
_LINES, _FILES = 60, 4
_LISTED = 40
_SUBJECT_TOKENS, _BODY_TOKENS = 60, 200
# A share of fewer characters shows nothing worth reading.
_LEAST = 60


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be committed. `diff_of` gives a file's changed lines, `versions_of` the files that
    these are lines of, before and after, each with its path and SHA-256."""

    files: Sequence[StagedFile]
    diff_of: Callable[[StagedFile], str]
    versions_of: Callable[[StagedFile], Sequence[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class Written:
    """A message. `by_model` is False where the model gave nothing usable and the message only says
    which files change. `clipped` are the files that the model saw in part or by name only,
    `secret` those that it was not told of."""

    text: str
    by_model: bool
    clipped: tuple[str, ...] = ()
    secret: tuple[str, ...] = ()


def write_message(
    model: Model, prompts: Prompts, changes: Changes, seconds: float, tell: Tell
) -> Written:
    """The message for `changes`. Raises BackendError.

    After `seconds` the model is stopped. `tell` hears, before the model is asked, of each version
    of a file that it is shown lines of, and what `ask_once` tells.
    """
    files = changes.files
    secret = tuple(f.path for f in files if is_secret(f.path) or is_secret(f.old))
    shown = [f for f in files if f.path not in secret]
    if not shown:
        return Written(described(files), False, secret=secret)
    body = sum(f.lines for f in shown) > _LINES or len(shown) > _FILES
    text, parts, clipped = _prompt(model, prompts, shown, changes.diff_of, body)
    for file in shown:
        for path, digest in changes.versions_of(file) if file.path in parts else ():
            tell(FileRead(path, digest))
    request = Request(
        (Message("user", text),), max_tokens=_BODY_TOKENS if body else _SUBJECT_TOKENS
    )
    reply = ask_once(model, prompts, "commit-message", request, seconds, tell)
    message = tidy(reply, body)
    if message is None:
        return Written(described(files), False, clipped, secret)
    return Written(message, True, clipped, secret)


def described(files: Sequence[StagedFile]) -> str:
    """A message without a model: which files are added, changed, removed, renamed."""
    kinds = {f.kind for f in files}
    verb = {"A": "Add", "C": "Add", "D": "Remove", "R": "Rename"}
    does = verb.get(next(iter(kinds)), "Update") if len(kinds) == 1 else "Update"
    if len(files) == 1:
        (file,) = files
        named = f"{file.old} to {file.path}" if file.kind == "R" else file.path
        return shortened(f"{does} {named}")
    rest = [f"- {f}" for f in files[:_LISTED]]
    if len(files) > _LISTED:
        rest.append(f"- and {len(files) - _LISTED} more")
    return "\n".join([f"{does} {len(files)} files", "", *rest])


def _prompt(
    model: Model,
    prompts: Prompts,
    files: Sequence[StagedFile],
    diff_of: Callable[[StagedFile], str],
    body: bool,
) -> tuple[str, frozenset[str], tuple[str, ...]]:
    """The request's text within the model's window, the files that it has lines of, and those that
    it shows in part."""
    budget = max(200, min(DIFF_TOKENS, model.info.profile.window - _RESERVE))
    # Files that programs write say little and are long; the order is git's otherwise.
    shown = sorted((f for f in files if not f.binary), key=lambda f: is_data(f.path))[:_LISTED]
    diffs = {f.path: text for f in shown if (text := diff_of(f))}
    unseen = {f.path for f in files if f.lines and f.path not in diffs}
    room = budget * _CHARACTERS
    while True:
        parts, cut = clip(diffs, room)
        text = "\n\n".join(f"{path}\n{part}" for path, part in parts.items())
        tokens = model.count(text)
        if tokens <= budget or room <= _LEAST:
            break
        room = min(room * 9 // 10, room * budget // tokens)
    name = "small/commit-message-long" if body else "small/commit-message"
    filled = prompts.render(name, files=_listed(files), diff=text or "(no lines of text)")
    return filled, frozenset(parts), tuple(f.path for f in files if f.path in unseen | cut)


def _listed(files: Sequence[StagedFile]) -> str:
    lines = [str(f) for f in files[:_LISTED]]
    if len(files) > _LISTED:
        lines.append(f"… and {len(files) - _LISTED} more")
    return "\n".join(lines)


def clip(diffs: dict[str, str], room: int) -> tuple[dict[str, str], set[str]]:
    """`diffs` cut to `room` characters in all, at line ends, and the paths of those that were cut.

    Everyone gets the same share; what the small ones leave is shared by the larger ones.
    """
    kept: dict[str, str] = {}
    cut: set[str] = set()
    left = room
    for done, (path, text) in enumerate(sorted(diffs.items(), key=lambda item: len(item[1]))):
        share = left // (len(diffs) - done)
        part = text if len(text) <= share else _head(text, share)
        if part != text:
            cut.add(path)
        if part:
            kept[path] = part
        left -= len(part)
    return {path: kept[path] for path in diffs if path in kept}, cut


def _head(text: str, share: int) -> str:
    """The first lines of `text`, and how many follow; "" where the share is too small."""
    if share < _LEAST:
        return ""
    head = text[: share - 20].rpartition("\n")[0] or text[: share - 20]
    more = text.count("\n", len(head))
    return f"{head}\n… {max(more, 1)} more lines"

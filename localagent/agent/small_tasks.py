"""Tasks for a small model: a commit message for the staged changes, and a session's title.

The diff is cut to fit a small model's window and half a minute of reading on two cores. Every file
gets the same share; larger files also get what smaller files leave.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from localagent.agent.model_calls import Record, ask_once
from localagent.code.file_kinds import is_data
from localagent.context.prompts import Prompts
from localagent.core.events import FileRead
from localagent.core.messages import Message
from localagent.models.base import Model, Request
from localagent.redaction.secret_files import is_secret
from localagent.workspace.git.commit import StagedFile

# Git's own width of a subject; many tools cut longer subjects.
WIDTH = 72
BODY_LINES = 8
# Most tokens of diff: two cores read 50 to 75 a second, and a user waits half a minute.
DIFF_TOKENS = 2000
TITLE_WORDS = 8
# Tokens for the instruction, the list of files and the reply.
_RESERVE = 700
# A low estimate of the characters in a token; the model's own count corrects the estimate.
_TOKEN_CHARS = 3
# A commit with more changed lines or files than this gets a message with a body.
_SUBJECT_LINES, _SUBJECT_FILES = 60, 4
_LISTED_FILES = 40
_SUBJECT_TOKENS, _BODY_TOKENS = 60, 200
# A file's share of fewer characters than this is too short to be useful.
_LEAST_SHARE = 60
_TITLE_CHARS, _TITLE_TOKENS = 1200, 24

_FENCE = re.compile(r"^```[^\n]*\n(.*?)(?:^```|\Z)", re.MULTILINE | re.DOTALL)
# Lines that models write before the message: "Sure! Here's a commit message for this diff:".
_PREFACE = re.compile(
    r"(?:sure|certainly|okay|ok|here(?:'s|’s| is| are)|the (?:commit )?message|based on)\b.*[:!.]$",
    re.IGNORECASE,
)
_LABEL = re.compile(
    r"^(?:git )?(?:commit )?(?:message|subject|title|summary)\s*:\s*", re.IGNORECASE
)
_REFUSAL = re.compile(r"(?:i'm sorry|i am sorry|sorry|i cannot|i can't|as an ai)\b", re.IGNORECASE)
# Beginnings that no commit message has: lines of a diff, tags of a template, code.
_NO_MESSAGE = re.compile(r"(?:diff --git|@@|\+\+\+|---|[+<{\[|\\]|index [0-9a-f]{7})")
# "Fix: Add x": a kind of change before a complete sentence.
_KIND = re.compile(r"(?:fix|feat|feature|chore|refactor|docs|test|style)\s*:\s*", re.IGNORECASE)
# Trailers that only the user may write, because they say who signed or wrote a commit.
_TRAILER = re.compile(r"[\w-]+-by\s*:", re.IGNORECASE)
_VERBS = (
    "add", "adjust", "allow", "avoid", "change", "clarify", "clean", "correct", "create",
    "document", "enable", "ensure", "extend", "extract", "fix", "handle", "implement", "improve",
    "include", "introduce", "limit", "make", "merge", "move", "pin", "prevent", "raise", "reduce",
    "refactor", "refine", "remove", "rename", "replace", "return", "rework", "simplify", "split",
    "stop", "support", "switch", "test", "update", "use", "validate", "write",
)  # fmt: skip
_IRREGULAR = {"made": "make", "wrote": "write", "split": "split", "making": "make"}
# A cut subject must not end in one of these words.
_CONNECTIVES = (
    "a", "an", "and", "as", "at", "by", "for", "from", "in", "into", "of", "on", "or", "so",
    "that", "the", "to", "when", "which", "with", "without",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class StagedChanges:
    """The changes to commit.

    `diff_of` returns a file's changed lines. `versions_of` returns the file's versions before and
    after the change, each with its path and SHA-256.
    """

    files: Sequence[StagedFile]
    diff_of: Callable[[StagedFile], str]
    versions_of: Callable[[StagedFile], Sequence[tuple[str, str]]]


@dataclass(frozen=True, slots=True)
class CommitMessage:
    """A commit message, and how it was made.

    `by_model` is False if the model's reply was unusable; the message then only lists the changed
    files. The model read the `clipped` files in part or by name only, and did not read the `secret`
    files.
    """

    text: str
    by_model: bool
    clipped: tuple[str, ...] = ()
    secret: tuple[str, ...] = ()


def write_message(
    model: Model, prompts: Prompts, changes: StagedChanges, seconds: float, record: Record
) -> CommitMessage:
    """Write the message for `changes`; the model gets at most `seconds`. Raises BackendError.

    `record` receives each file version whose lines the model reads, and what `ask_once` records.
    """
    files = changes.files
    secret = tuple(f.path for f in files if is_secret(f.path) or is_secret(f.old))
    public = [f for f in files if f.path not in secret]
    if not public:
        return CommitMessage(list_changes(files), False, secret=secret)
    body = sum(f.lines for f in public) > _SUBJECT_LINES or len(public) > _SUBJECT_FILES
    text, parts, clipped = _prompt(model, prompts, public, changes.diff_of, body)
    for file in public:
        for path, digest in changes.versions_of(file) if file.path in parts else ():
            record(FileRead(path, digest))
    tokens = _BODY_TOKENS if body else _SUBJECT_TOKENS
    request = Request((Message("user", text),), max_tokens=tokens)
    reply = ask_once(model, prompts, "commit-message", request, seconds, record)
    message = tidy(reply, body)
    if message is None:
        return CommitMessage(list_changes(files), False, clipped, secret)
    return CommitMessage(message, True, clipped, secret)


def write_title(model: Model, prompts: Prompts, task: str, seconds: float, record: Record) -> str:
    """Write a session's title of at most 8 words; return "" if the model's reply is unusable.

    `seconds` and `record` are passed to `ask_once`. Raises BackendError.
    """
    text = prompts.render("small/title", task=task.strip()[:_TITLE_CHARS])
    request = Request((Message("user", text),), max_tokens=_TITLE_TOKENS)
    reply = ask_once(model, prompts, "title", request, seconds, record)
    title = tidy(reply, body=False) or ""
    return " ".join(title.splitlines()[0].split()[:TITLE_WORDS]) if title else ""


def list_changes(files: Sequence[StagedFile]) -> str:
    """A message that no model wrote: it lists the added, changed, removed and renamed files."""
    kinds = {f.kind for f in files}
    verbs = {"A": "Add", "C": "Add", "D": "Remove", "R": "Rename"}
    verb = verbs.get(next(iter(kinds)), "Update") if len(kinds) == 1 else "Update"
    if len(files) == 1:
        (file,) = files
        name = f"{file.old} to {file.path}" if file.kind == "R" else file.path
        return cut_subject(f"{verb} {name}")
    lines = [f"- {f}" for f in files[:_LISTED_FILES]]
    if len(files) > _LISTED_FILES:
        lines.append(f"- and {len(files) - _LISTED_FILES} more")
    return "\n".join([f"{verb} {len(files)} files", "", *lines])


def _prompt(
    model: Model,
    prompts: Prompts,
    files: Sequence[StagedFile],
    diff_of: Callable[[StagedFile], str],
    body: bool,
) -> tuple[str, frozenset[str], tuple[str, ...]]:
    """The prompt, cut to the model's window; the files whose lines it has; and the cut files."""
    budget = max(200, min(DIFF_TOKENS, model.info.profile.window - _RESERVE))
    # Generated files are long and say little, so they come last; other files keep git's order.
    texts = sorted((f for f in files if not f.binary), key=lambda f: is_data(f.path))
    diffs = {f.path: text for f in texts[:_LISTED_FILES] if (text := diff_of(f))}
    unread = {f.path for f in files if f.lines and f.path not in diffs}
    room = budget * _TOKEN_CHARS
    while True:
        parts, cut = clip(diffs, room)
        text = "\n\n".join(f"{path}\n{part}" for path, part in parts.items())
        tokens = model.count(text)
        if tokens <= budget or room <= _LEAST_SHARE:
            break
        room = min(room * 9 // 10, room * budget // tokens)
    lines = [str(f) for f in files[:_LISTED_FILES]]
    if len(files) > _LISTED_FILES:
        lines.append(f"… and {len(files) - _LISTED_FILES} more")
    name = "small/commit-message-long" if body else "small/commit-message"
    prompt = prompts.render(name, files="\n".join(lines), diff=text or "(no lines of text)")
    return prompt, frozenset(parts), tuple(f.path for f in files if f.path in unread | cut)


def clip(diffs: dict[str, str], room: int) -> tuple[dict[str, str], set[str]]:
    """The diffs, cut at line ends to `room` characters in all, and the paths of the cut diffs.

    Every file gets the same share; larger files also share what smaller files leave.
    """
    parts: dict[str, str] = {}
    cut: set[str] = set()
    left = room
    for done, (path, text) in enumerate(sorted(diffs.items(), key=lambda item: len(item[1]))):
        share = left // (len(diffs) - done)
        part = text if len(text) <= share else _head(text, share)
        if part != text:
            cut.add(path)
        if part:
            parts[path] = part
        left -= len(part)
    return {path: parts[path] for path in diffs if path in parts}, cut


def _head(text: str, share: int) -> str:
    """The first lines of `text`, and the number of omitted lines; "" if the share is too small."""
    if share < _LEAST_SHARE:
        return ""
    head = text[: share - 20].rpartition("\n")[0] or text[: share - 20]
    more = text.count("\n", len(head))
    return f"{head}\n… {max(more, 1)} more lines"


def tidy(reply: str, body: bool) -> str | None:
    """The message in a reply, with its body if `body`; None if the reply has no message."""
    lines = _message_lines(reply)
    if not lines or not _is_usable(lines[0]):
        return None
    subject = _imperative(lines[0].rstrip(" .:;,"))
    short = cut_subject(subject)
    rest = lines[1:] if body else []
    if short != subject:
        rest = [subject, *rest]
    wrapped = _wrap(rest)
    return "\n".join([short, "", *wrapped]) if wrapped else short


def cut_subject(subject: str) -> str:
    """`subject` cut at the end of a word, to at most 72 characters."""
    if len(subject) <= WIDTH:
        return subject
    words = subject[: WIDTH + 1].split(" ")[:-1] or [subject[:WIDTH]]
    while len(words) > 1 and words[-1].lower().strip(",;:") in _CONNECTIVES:
        words.pop()
    return " ".join(words).rstrip(" ,;:.")


def _message_lines(reply: str) -> list[str]:
    """The lines of the message itself, without markup and empty lines."""
    fenced = _FENCE.search(reply)
    text = fenced[1] if fenced and fenced[1].strip() else reply.replace("```", "")
    lines: list[str] = []
    for raw in text.splitlines():
        line = raw.strip() if lines else _without_markup(raw)
        if not line or (not lines and _PREFACE.match(line)) or _TRAILER.match(line):
            continue
        lines.append(line)
    return lines


def _without_markup(line: str) -> str:
    """A subject without label, quotes, or markup of headings, lists and bold text."""
    line = line.strip()
    while True:
        bare = _LABEL.sub("", line.strip("\"'`“”*# "), count=1) if line else ""
        bare = re.sub(r"^(?:[-•]|\d+[.)]) +", "", bare)
        if bare == line:
            return bare
        line = bare


def _is_usable(subject: str) -> bool:
    letters = sum(c.isalpha() for c in subject)
    refused = _REFUSAL.match(subject) or _NO_MESSAGE.match(subject)
    return letters >= 4 and " " in subject and not refused


def _imperative(subject: str) -> str:
    """ "Added x", "Adds x", "adding x" and "Fix: add x" as "Add x"; others do not change."""
    bare = _KIND.sub("", subject, count=1) if _KIND.match(subject) else subject
    first, _, rest = bare.partition(" ")
    verb = _base_form(first.lower())
    if verb is None:
        # a subject with a scope, such as "parser: read dates", stays in lower case
        word = subject.partition(" ")[0]
        return subject[:1].upper() + subject[1:] if word.isalpha() else subject
    return f"{verb.capitalize()} {rest}"


def _base_form(word: str) -> str | None:
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


def _wrap(lines: list[str]) -> list[str]:
    """Wrap the body's lines. "* x" becomes "- x"; git would read a line with "#" as a comment."""
    wrapped: list[str] = []
    for line in lines:
        text = re.sub(r"^[*•] +", "- ", line).lstrip("# ").replace("**", "").replace("`", "")
        indent = "  " if text.startswith("- ") else ""
        wrapped += textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False)
    return wrapped[:BODY_LINES]

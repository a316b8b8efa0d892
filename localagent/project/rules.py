"""The rules of a session: the user's, and those of the project that the user agreed to."""

from __future__ import annotations

from functools import cache, partial

from localagent.context.rules import PromptRules, RuleText
from localagent.core.errors import ConfigError, OutsideWorkspace
from localagent.core.paths import config_dir
from localagent.edits.textfile import sha256
from localagent.permissions.consent import FOLDER, MAX_BYTES, RULES, ProjectFile, load
from localagent.project.project import Project
from localagent.workspace.workspace import Workspace


def session_rules(project: Project) -> PromptRules:
    """The rules for a session in `project`.

    The rules of a folder are read once, so that the session's prompts stay the same. Raises
    ConfigError where the user's rules cannot be read.
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
    """The AGENTS.md nearest above the file or folder at `path`; None without one.

    The AGENTS.md of the workspace's root does not count, nor does one that cannot be read.
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
    """The user's rules for every project; empty without any. Raises ConfigError."""
    path = config_dir() / RULES
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path} is larger than {MAX_BYTES >> 10} KiB", "rules should be short")
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
        f"(localagent trust add {file.path})"
    )
    return RuleText(file.path, "", notice="" if state == "refused" else notice)

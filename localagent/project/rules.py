"""The rules of a session: the user's own, the project's as far as the user agreed to them."""

from __future__ import annotations

from localagent.context.rules import Rules, RuleText
from localagent.core.errors import ConfigError
from localagent.core.paths import config_dir
from localagent.edits.textfile import sha256
from localagent.permissions.consent import Consent
from localagent.permissions.project_files import MAX_BYTES, RULES
from localagent.project.project import Brought, nearest_rules
from localagent.workspace.workspace import Workspace


def session_rules(workspace: Workspace, project: Brought, setting: str) -> Rules:
    """The rules for a session in `workspace`. Raises ConfigError where the user's own cannot be
    read."""
    own = _own_data()
    text = own.decode("utf-8-sig", "replace")
    texts = [RuleText(str(config_dir() / RULES), text, own=True, sha256=sha256(own))]
    texts += [RuleText(file.path, file.text, sha256=file.sha256) for file in project.of("rules")]
    known: dict[str, RuleText | None] = {}

    def folder(path: str) -> RuleText | None:
        """What was found first holds for the session, so that its prompts stay the same."""
        if setting == "never":
            return None
        if path not in known:
            known[path] = _of_folder(workspace, path)
        return known[path]

    return Rules(texts, folder)


def _own_data() -> bytes:
    """The user's rules for every project, empty without. Raises ConfigError."""
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


def _of_folder(workspace: Workspace, path: str) -> RuleText | None:
    file = nearest_rules(workspace, path)
    if file is None:
        return None
    state = Consent(workspace.root).state(file)
    if state == "agreed":
        return RuleText(file.path, file.text, sha256=file.sha256)
    notice = (
        f"{file.path} is not used: you have not agreed to it as it is now "
        f"(localagent trust add {file.path})"
    )
    return RuleText(file.path, "", notice="" if state == "refused" else notice)

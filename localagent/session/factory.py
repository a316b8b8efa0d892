"""Build a session from settings. No other module chooses the concrete classes of its parts."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from localagent import __version__
from localagent.agent.planners.base import Planner
from localagent.agent.planners.react import React
from localagent.agent.planners.workflow import Workflow
from localagent.agent.turn import Limits, Services
from localagent.config.settings import Settings
from localagent.context.prompts import Prompts
from localagent.context.rules import PromptRules
from localagent.core.changes import Change
from localagent.core.errors import SandboxError, UsageError, WorkspaceError
from localagent.core.events import FileChanged, SessionStarted, TurnFinished, TurnStarted
from localagent.core.paths import sessions_dir
from localagent.core.programs import install_folders
from localagent.egress import lock as egress_lock
from localagent.history.checkpoints.checkpoint import Checkpoints, recover_workspace
from localagent.history.checkpoints.workspace_lock import Holder, WorkspaceLock, acquire
from localagent.history.sessions import transcript
from localagent.history.sessions.conversation import ConversationLog
from localagent.history.sessions.transcript import Transcript, TranscriptWriter
from localagent.index.base import Index
from localagent.index.disk import DiskIndex
from localagent.models.base import Model
from localagent.models.router import MAIN, Router
from localagent.permissions.grants import SessionGate, WorkspaceGrants
from localagent.permissions.handoff import HandoffFiles
from localagent.permissions.rules import Permissions
from localagent.project.project import Project, session_rules
from localagent.redaction.redactor import Redactor
from localagent.sandbox.select import Choice, choose
from localagent.sandbox.visible_paths import secret_places
from localagent.session.models import open_router
from localagent.session.plugins import Plugins, load_plugins
from localagent.session.recorders import WorkspaceUndo, open_records
from localagent.session.session import Session
from localagent.tools.base import Tool
from localagent.tools.registry import specs, standard_tools

PLANNERS: dict[str, Callable[[Settings], Planner]] = {
    "workflow": lambda settings: Workflow(settings.search_seconds),
    "react": lambda _settings: React(),
}


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The options with which a user opens a session, besides the settings.

    `yes` is the flag --yes. `resume` is the id of the session to resume. `interactive` means that
    a user can answer questions. `scripted` is a file of replies that replace the model's.
    """

    yes: bool = False
    resume: str | None = None
    seed: int = 0
    interactive: bool = False
    scripted: Path | None = None


@dataclass(frozen=True, slots=True)
class Extensions:
    """The tools, planners, prompts and rules that the user and the project add to a session.

    `planner` returns the planner with a given name, and raises UsageError for an unknown name.
    """

    tools: Mapping[str, Tool]
    planner: Callable[[str], Planner]
    prompts: Prompts
    rules: PromptRules
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Parts:
    """The parts of a session from which the other parts are built.

    `past` is the resumed session. `first` is False if the session replaces another one in the same
    process; that session has already warned about the sandbox and the check.
    """

    project: Project
    options: RunOptions
    past: Transcript | None
    extensions: Extensions
    models: Router
    planner: str
    sandbox: Choice
    recorder: TranscriptWriter
    lock: WorkspaceLock | Holder
    first: bool

    @property
    def held(self) -> WorkspaceLock | None:
        """The workspace's lock; None if another session holds the lock."""
        return self.lock if isinstance(self.lock, WorkspaceLock) else None


def open_session(
    project: Project,
    options: RunOptions | None = None,
    model: Model | Router | None = None,
    after: Session | None = None,
) -> Session:
    """Build a session. `model` replaces the models that the settings name.

    `after` is an earlier session in the same workspace. The new session takes over its models,
    sandbox, index and lock, so the caller must call `leave` on the earlier session, not `close`. If
    an error is raised, the earlier session can continue.

    Raises UsageError, ConfigError, LockError, BackendError, WorkspaceError, SandboxError.
    """
    parts = _parts(project, options or RunOptions(), model, after)
    settings, past = project.settings, parts.past
    index = after.services.index if after else DiskIndex(project.workspace, live=True)
    protected = _protected(project.root)
    return Session(
        project=project,
        started=_started(parts),
        services=_services(parts, index, _gate(parts, protected)),
        models=parts.models,
        planner=settings.planner or "",
        planner_for=parts.extensions.planner,
        recorder=open_records(parts.recorder, settings, parts.models),
        journal_for=lambda turn: Checkpoints(
            project.root,
            parts.recorder.folder,
            turn,
            settings.checkpoint_bytes,
            protected,
        ),
        undoing=WorkspaceUndo(project, parts.recorder.session, parts.held),
        lock=parts.held,
        limits=Limits(settings.max_seconds, settings.max_tokens),
        check=settings.check or "",
        seed=parts.options.seed,
        turns=past.last_turn if past else 0,
        talk=past.talk() if past else ConversationLog(),
        unfinished=_unfinished(past) if past else "",
        extension_warnings=parts.extensions.warnings,
        warnings=_warnings(parts),
    )


def use_project_files(session: Session) -> None:
    """Load the project files again that the user agreed to, for the next turns of a session.

    Call this between two turns. Raises ConfigError, PluginError.
    """
    project = session.project.reopen()
    extensions = open_extensions(project)
    session.project = project
    session.services = replace(
        session.services,
        tools=extensions.tools,
        prompts=extensions.prompts,
        rules=extensions.rules,
    )
    session.planner_for = extensions.planner
    session.extension_warnings = extensions.warnings


def open_extensions(project: Project) -> Extensions:
    """The tools, planners, prompts and rules of a session in `project`.

    Raises ConfigError, PluginError.
    """
    files, tools = project.files, standard_tools()
    plugins = load_plugins(files, specs())
    prompts = project.prompts(plugins.descriptions(), plugins.files())
    return Extensions(
        tools={**tools, **plugins.tools},
        planner=lambda name: planner_for(name, project.settings, plugins),
        prompts=prompts,
        rules=session_rules(project),
        warnings=(*files.warnings, *prompts.check(), *plugins.warnings),
    )


def planner_for(name: str, settings: Settings, plugins: Plugins) -> Planner:
    """The planner named `name`; "plugin:NAME" is one of `plugins`. Raises UsageError."""
    if name.startswith("plugin:"):
        if planner := plugins.planners.get(name.removeprefix("plugin:")):
            return planner
        known = ", ".join(f"plugin:{each}" for each in plugins.planners)
        hint = f"plug-ins here: {known}" if known else "see: localagent docs extending"
        raise UsageError(f"unknown planner {name!r}", hint)
    if name not in PLANNERS:
        raise UsageError(f"unknown planner {name!r}", f"the planners are: {', '.join(PLANNERS)}")
    return PLANNERS[name](settings)


def _parts(
    project: Project, options: RunOptions, model: Model | Router | None, after: Session | None
) -> _Parts:
    """Open the parts in the order in which their errors matter to a user.

    The transcript and the lock come last, because they write files.
    """
    settings = project.settings
    past = transcript.read(options.resume) if options.resume else None
    extensions = open_extensions(project)
    models = after.models if after else open_router(model, options.scripted, settings)
    models.model()
    models.drain_switches()  # SessionStarted names the model that the router settled on
    planner = settings.planner or models.info().profile.planner
    extensions.planner(planner)
    sandbox = _sandbox(settings, after)
    recorder = transcript.open_session(project.root, past.session if past else None)
    lock = _lock(project, recorder.session, after)
    return _Parts(
        *(project, options, past, extensions, models, planner, sandbox, recorder, lock),
        first=after is None,
    )


def _sandbox(settings: Settings, after: Session | None) -> Choice:
    """The sandbox of commands. Raises SandboxError."""
    if after is not None:
        choice = Choice(after.services.sandbox, "as before")
    else:
        choice = choose(settings.sandbox, settings.policy.sandboxes, settings.sandbox_ports)
    _check_sandbox(choice, settings)
    return choice


def _check_sandbox(choice: Choice, settings: Settings) -> None:
    """Raise SandboxError if the administrator's policy forbids the chosen kind of sandbox."""
    allowed, kind = settings.policy.sandboxes, choice.sandbox.kind
    if allowed and kind not in allowed:
        reason = f" ({choice.reason})" if choice.reason else ""
        raise SandboxError(
            f"no command can run: the sandbox here is {kind!r}{reason}, and the administrator's "
            f"policy {settings.policy} allows only {' or '.join(allowed)}",
            "localagent doctor says what works on this machine",
        )


def _lock(project: Project, session: str, after: Session | None) -> WorkspaceLock | Holder:
    """Take the workspace's lock, or take it over from the earlier session `after`."""
    if after is None or after.lock is None:
        return acquire(project.root, session)
    after.lock.pass_on(session)
    return after.lock


def _gate(parts: _Parts, protected: Mapping[str, str]) -> SessionGate:
    """The permission gate. Raises UsageError if the mode in the settings is not possible."""
    settings = parts.project.settings
    grants = WorkspaceGrants(parts.project.root)
    rules = Permissions(
        settings.permissions,
        settings.project_permissions,
        interactive=parts.options.interactive,
        grants=grants,
        protected=protected,
        runs_later=HandoffFiles(parts.project.root).runs_later,
    )
    return SessionGate(
        rules,
        grants,
        mode=settings.mode,
        yes=parts.options.yes,
        confined=parts.sandbox.sandbox.confined,
        read_only=parts.held is None,
    )


def _protected(root: Path) -> dict[str, str]:
    """The paths in the workspace that no tool may change, with the reasons.

    They need not exist: nothing may make them either.
    """
    reasons = dict.fromkeys(install_folders(root), "localagent itself runs from this folder")
    hidden = (Path(os.path.realpath(path)) for path in secret_places())
    inside = (path.relative_to(root).as_posix() for path in hidden if root in path.parents)
    return dict.fromkeys(inside, "programs keep secrets there") | reasons


def _services(parts: _Parts, index: Index, gate: SessionGate) -> Services:
    """The services that each turn of the session uses."""
    past, extensions = parts.past, parts.extensions
    return Services(
        model=parts.models.role(MAIN),
        planning=parts.models.role("planner"),
        repairing=parts.models.role("repair") if parts.models.has_model("repair") else None,
        workspace=parts.project.workspace,
        index=index,
        sandbox=parts.sandbox.sandbox,
        tools=extensions.tools,
        gate=gate,
        journal=NoTurn(),
        prompts=extensions.prompts,
        rules=extensions.rules,
        interactive=parts.options.interactive,
        check_seconds=parts.project.settings.check_seconds,
        redactor=Redactor(past.texts()) if past else Redactor(),
    )


def _started(parts: _Parts) -> SessionStarted:
    """The first event of the session."""
    info, sandbox, egress = parts.models.info(), parts.sandbox.sandbox, egress_lock.state()
    return SessionStarted(
        session=parts.recorder.session,
        workspace=str(parts.project.root),
        model=info.id,
        model_sha256=info.sha256,
        planner=parts.planner,
        sandbox=sandbox.kind,
        version=__version__,
        read_only=parts.held is None,
        resumed=parts.past is not None,
        egress=str(egress) if egress.locked else "",
        ports=list(sandbox.ports),
    )


class NoTurn:
    """The journal while no turn runs. It refuses every change."""

    def apply(self, changes: Sequence[Change]) -> list[FileChanged]:
        """Raise WorkspaceError."""
        raise WorkspaceError(f"no turn is running, so {len(changes)} change(s) cannot be made")

    def keep_patch(self, text: str) -> Path:
        """Raise WorkspaceError."""
        raise WorkspaceError(f"no turn is running, so {len(text)} characters have no place")


def _warnings(parts: _Parts) -> list[str]:
    """The warnings before the first turn, except those about extensions.

    This function also takes back the unfinished changes of killed sessions.
    """
    settings = parts.project.settings
    warnings = [*settings.warnings, *parts.models.drain_warnings()]
    sandbox = parts.sandbox.sandbox
    if parts.first and not sandbox.confined:
        held = (
            "without a sandbox" if sandbox.kind == "none" else "without network, but see all files"
        )
        warnings.append(f"commands run {held}: {parts.sandbox.reason}")
    if parts.first and (folders := install_folders(parts.project.root)):
        warnings.append(
            f"localagent runs from this workspace, so nothing can change {', '.join(folders)}"
        )
    if parts.first and settings.proposed_check:
        warnings.append(
            f"the project proposes the check {settings.proposed_check!r}; to use it: --check CMD, "
            "or /check CMD in a session"
        )
    if isinstance(parts.lock, Holder):
        return [*warnings, f"the workspace is in use by {parts.lock}; this session can only read"]
    recovered = recover_workspace(parts.project.root, sessions_dir())
    if recovered.turns:
        warnings.append(f"undid the unfinished changes of {', '.join(recovered.turns)}")
    for reason in recovered.failed:
        warnings.append(f"cannot undo the unfinished change of {reason}")
    if recovered.left:
        warnings.append(f"kept files that changed since then: {', '.join(recovered.left)}")
    return warnings


def _unfinished(past: Transcript) -> str:
    """The prompt of the last turn if that turn did not finish, or ""."""
    prompt = ""
    for event in past.events:
        if isinstance(event, TurnStarted):
            prompt = event.prompt
        elif isinstance(event, TurnFinished) and event.outcome not in ("interrupted", "limit"):
            prompt = ""
    return prompt

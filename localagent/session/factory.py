"""The composition root of a session: the one place that names its concrete classes.

Everything here puts parts together; what the parts do is described where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from localagent import __version__
from localagent.agent.planners.base import Planner
from localagent.agent.planners.react import React
from localagent.agent.planners.workflow import Workflow
from localagent.agent.turn import Limits, Services
from localagent.config.settings import Settings
from localagent.config.settings import load as load_settings
from localagent.core.changes import Change
from localagent.core.errors import SandboxError, UsageError, WorkspaceError
from localagent.core.events import FileChanged, SessionStarted, TurnFinished, TurnStarted
from localagent.core.paths import sessions_dir
from localagent.egress import lock as egress
from localagent.history.checkpoints.checkpoint import Checkpoints, recover_workspace
from localagent.history.checkpoints.workspace_lock import Holder, WorkspaceLock, acquire
from localagent.history.sessions import transcript
from localagent.history.sessions.conversation import Talk
from localagent.index.disk import DiskIndex
from localagent.models.base import Model
from localagent.models.router import MAIN, Router
from localagent.permissions.gate import SessionGate
from localagent.permissions.grants import WorkspaceGrants
from localagent.permissions.rules import Permissions
from localagent.project.project import Brought, brought
from localagent.project.rules import session_rules
from localagent.redaction.redactor import Marks
from localagent.sandbox.select import Choice, choose
from localagent.session.models import open_router
from localagent.session.plugins import Plugins, load_plugins
from localagent.session.project import open_prompts
from localagent.session.recorders import WorkspaceUndoing, open_records
from localagent.session.session import RunOptions, Session
from localagent.tools.registry import standard_tools
from localagent.workspace.workspace import Workspace

PLANNERS: dict[str, Callable[[Settings], Planner]] = {
    "workflow": lambda settings: Workflow(settings.search_seconds),
    "react": lambda _settings: React(),
}


def open_session(
    options: RunOptions, model: Model | Router | None = None, after: Session | None = None
) -> Session:
    """Put a session together; `model` takes the place of those that options and settings name.

    It may come `after` another one of the same workspace, and then goes on with its models, its
    sandbox, its index and the lock; that one may only be left then. Where this raises, it stays.

    Raises UsageError, ConfigError, LockError, BackendError, WorkspaceError, SandboxError.
    """
    workspace = Workspace.open(options.workspace)
    settings = load_settings(workspace.root, _flags(options))
    past = transcript.read(options.resume) if options.resume else None
    project = brought(workspace, settings.project_files)
    plugins = load_plugins(project, standard_tools())
    prompts = open_prompts(project, plugins)
    told = prompts.check()
    models = open_router(model, options.scripted, settings) if after is None else after.models
    models.model()
    models.switches()  # SessionStarted names the model that it came to
    info = models.info()
    planner = settings.planner or info.profile.planner
    planner_for(planner, settings, plugins)
    if after is None:
        ports = settings.sandbox_ports
        selection = choose(settings.sandbox, settings.policy.sandboxes, ports)
    else:
        selection = Choice(after.services.sandbox, "as before")
    _check_sandbox(selection, settings)
    recorder = transcript.open_session(workspace.root, past.session if past else None)
    lock = _lock(workspace, recorder.session, after)
    own = lock if isinstance(lock, WorkspaceLock) else None
    gate = _gate(workspace, settings, options, confined=selection.sandbox.confined, own=own)
    return Session(
        started=SessionStarted(
            session=recorder.session,
            workspace=str(workspace.root),
            model=info.id,
            model_sha256=info.sha256,
            planner=planner,
            sandbox=selection.sandbox.kind,
            version=__version__,
            read_only=own is None,
            resumed=past is not None,
            egress=str(state) if (state := egress.state()).locked else "",
            ports=list(selection.sandbox.ports),
        ),
        services=Services(
            model=models.role(MAIN),
            planning=models.role("planner"),
            workspace=workspace,
            index=DiskIndex(workspace, live=True) if after is None else after.services.index,
            sandbox=selection.sandbox,
            tools={**standard_tools(), **plugins.tools},
            gate=gate,
            journal=NoTurn(),
            prompts=prompts,
            rules=session_rules(workspace, project, settings.project_files),
            interactive=options.interactive,
            check_seconds=settings.check_seconds,
            marks=Marks(past.texts()) if past else Marks(),
        ),
        models=models,
        planner=settings.planner or "",
        planner_for=lambda name: planner_for(name, settings, plugins),
        recorder=open_records(recorder, settings, models),
        journal_for=lambda turn: Checkpoints(
            workspace.root, recorder.folder, turn, settings.checkpoint_bytes
        ),
        undoing=WorkspaceUndoing(workspace.root, recorder.session, own),
        lock=own,
        limits=Limits(settings.max_seconds, settings.max_tokens),
        check=settings.check or "",
        seed=options.seed,
        turns=past.last_turn if past else 0,
        talk=past.talk() if past else Talk(),
        unfinished=_unfinished(past) if past else "",
        warnings=[
            *settings.notes,
            *project.notices,
            *told,
            *plugins.notices,
            *models.notices(),
            *_warnings(settings, selection, lock, workspace, new=after is None),
        ],
    )


def take_up(session: Session, instead_of: Brought) -> None:
    """Have a session go on with what its project brings as far as the user agrees to it now, and
    no longer say what was to be said of what it brought before. Not in the middle of a turn.

    Raises ConfigError.
    """
    services = session.services
    settings = load_settings(services.workspace.root)
    project = brought(services.workspace, settings.project_files)
    plugins = load_plugins(project, standard_tools())
    session.services = replace(
        services,
        tools={**standard_tools(), **plugins.tools},
        prompts=open_prompts(project, plugins),
        rules=session_rules(services.workspace, project, settings.project_files),
    )
    session.planner_for = lambda name: planner_for(name, settings, plugins)
    said = [text for text in session.warnings if text not in instead_of.notices]
    session.warnings = [*said, *project.notices, *plugins.notices]


def _gate(
    workspace: Workspace,
    settings: Settings,
    options: RunOptions,
    *,
    confined: bool,
    own: WorkspaceLock | None,
) -> SessionGate:
    """The permission gate of a session. Raises UsageError for a mode that is not possible."""
    grants = WorkspaceGrants(workspace.root)
    rules = Permissions(
        settings.permissions,
        settings.project_permissions,
        interactive=options.interactive,
        grants=grants,
    )
    return SessionGate(
        rules,
        grants,
        mode=settings.mode,
        yes=options.yes,
        confined=confined,
        read_only=own is None,
    )


class NoTurn:
    """The journal outside of a turn: nothing can be changed there."""

    def apply(self, changes: Sequence[Change]) -> list[FileChanged]:
        """Always raises WorkspaceError."""
        raise WorkspaceError(f"no turn is running, so {len(changes)} change(s) cannot be made")


def _check_sandbox(selection: Choice, settings: Settings) -> None:
    """Raises SandboxError where the policy wants another kind than the one that was chosen."""
    wanted, kind = settings.policy.sandboxes, selection.sandbox.kind
    if wanted and kind not in wanted:
        reason = f" ({selection.reason})" if selection.reason else ""
        raise SandboxError(
            f"the sandbox here would be {kind!r}{reason}, and the administrator's policy "
            f"{settings.policy} wants {' or '.join(wanted)}; so nothing runs",
            "localagent doctor says what works on this machine",
        )


def _lock(workspace: Workspace, session: str, after: Session | None) -> WorkspaceLock | Holder:
    """The workspace's lock; the session before this one may hold it already."""
    if after is None or after.lock is None:
        return acquire(workspace.root, session)
    after.lock.pass_on(session)
    return after.lock


def _flags(options: RunOptions) -> dict[str, Any]:
    """The settings that flags override; None where a flag was not given."""
    return {
        "model": options.model,
        "planner": options.planner,
        "check": options.check,
        "max_seconds": options.max_seconds,
        "max_tokens": options.max_tokens,
        "sandbox": options.sandbox,
        "mode": options.mode,
    }


def planner_for(name: str, settings: Settings, plugins: Plugins | None = None) -> Planner:
    """The planner of that name; "plugin:NAME" is one of `plugins`. Raises UsageError."""
    if name.startswith("plugin:"):
        known = plugins.planners if plugins else {}
        if name.removeprefix("plugin:") not in known:
            hint = ", ".join(f"plugin:{one}" for one in known) or "localagent docs extending"
            raise UsageError(f"there is no planner {name!r}", f"plug-ins that are used: {hint}")
        return known[name.removeprefix("plugin:")]
    if name not in PLANNERS:
        raise UsageError(f"there is no planner {name!r}", f"one of: {', '.join(PLANNERS)}")
    return PLANNERS[name](settings)


def _warnings(
    settings: Settings,
    selection: Choice,
    lock: WorkspaceLock | Holder,
    workspace: Workspace,
    *,
    new: bool,
) -> list[str]:
    """What the user should know before the first turn; unfinished changes are taken back here.
    Unless the session is `new`, not what the one before it has said."""
    found: list[str] = []
    if new and not selection.sandbox.confined:
        found.append(f"commands run without a sandbox: {selection.reason}")
    if new and settings.proposed_check:
        found.append(
            f"the project proposes a check; to use it: --check '{settings.proposed_check}'"
        )
    if isinstance(lock, Holder):
        found.append(f"the workspace is in use by {lock}; this session can only read")
        return found
    recovered = recover_workspace(workspace.root, sessions_dir())
    if recovered.turns:
        found.append(f"took back what was left unfinished by {', '.join(recovered.turns)}")
    if recovered.left:
        found.append(f"changed since by somebody else, so left alone: {', '.join(recovered.left)}")
    return found


def _unfinished(past: transcript.Transcript) -> str:
    """The prompt of the last turn where it did not end, or ""."""
    prompt = ""
    for event in past.events:
        if isinstance(event, TurnStarted):
            prompt = event.prompt
        elif isinstance(event, TurnFinished) and event.outcome not in ("interrupted", "limit"):
            prompt = ""
    return prompt

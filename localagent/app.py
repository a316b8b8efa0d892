"""The composition root: the one place that names concrete classes.

Everything here puts parts together; what the parts do is described where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeGuard

from localagent import __version__
from localagent.agent.planners.base import Planner
from localagent.agent.planners.react import React
from localagent.agent.planners.workflow import Workflow
from localagent.agent.turn import Limits, Services
from localagent.changes import Change
from localagent.config import Settings
from localagent.config import load as load_settings
from localagent.context.prompts import Prompts
from localagent.edits.textfile import sha256
from localagent.errors import ModelLoadError, SandboxError, UsageError, WorkspaceError
from localagent.events import (
    ChangesUndone,
    ConversationReplaced,
    Event,
    FileChanged,
    ModeChanged,
    ModelSwitched,
    Rewound,
    SessionStarted,
    TurnFinished,
    TurnStarted,
)
from localagent.extend import prompt_commands as commands
from localagent.extend.plugins import Plugins, load_plugins
from localagent.extend.project import Brought, brought, project_prompts
from localagent.extend.rules import session_rules
from localagent.guard import egress
from localagent.guard.consent import Consent
from localagent.guard.gate import SessionGate
from localagent.guard.grants import WorkspaceGrants
from localagent.guard.marks import Marks
from localagent.guard.permissions import Permissions
from localagent.guard.project_files import ProjectFile
from localagent.guard.sandbox.select import Choice, choose
from localagent.index.disk import DiskIndex
from localagent.journal import transcript
from localagent.journal.audit import AuditLog
from localagent.journal.audit_prune import prune as prune_audit
from localagent.journal.checkpoint import Checkpoints, recover_workspace
from localagent.journal.replay import Difference, ReplayModel, compare, steered
from localagent.journal.talk import Talk
from localagent.journal.undo import Undone, undo_from
from localagent.journal.undo import redo as redo_turn
from localagent.journal.undo import undo as undo_turn
from localagent.journal.workspace_lock import Holder, WorkspaceLock, acquire
from localagent.models import lock as models_lock
from localagent.models import store
from localagent.models.base import Model, ModelInfo, Profile
from localagent.models.gguf import GgufError
from localagent.models.lock import Entry
from localagent.models.planned import planned
from localagent.models.router import MAIN, Pinned, Router
from localagent.models.scripted import ScriptedModel
from localagent.paths import config_dir, sessions_dir
from localagent.session import Recorder, RunOptions, Session
from localagent.tools.registry import standard_tools
from localagent.workspace import Workspace

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
    models = _router(model, options.scripted, settings) if after is None else after.models
    models.model()
    models.switches()  # SessionStarted names the model that it came to
    info = models.info()
    planner = settings.planner or info.profile.planner
    planner_for(planner, settings, plugins)
    if after is None:
        selection = choose(settings.sandbox, settings.policy.sandboxes)
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
            marks=Marks(message.content for message in past.messages()) if past else Marks(),
        ),
        models=models,
        planner=settings.planner or "",
        planner_for=lambda name: planner_for(name, settings, plugins),
        recorder=_recorders(recorder, settings, info),
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


def pending_consent(workspace: Path) -> tuple[Consent, tuple[ProjectFile, ...]]:
    """What `workspace` brings that changes what the agent does and that the user said nothing on
    yet, and where his answer is remembered: `agree` or `refuse`, before a session is opened.

    Raises WorkspaceError, ConfigError.
    """
    opened = Workspace.open(workspace)
    settings = load_settings(opened.root)
    return Consent(opened.root), brought(opened, settings.project_files).pending


def prompt_commands(workspace: Path) -> commands.PromptCommands:
    """The user's own commands and those of the project at `workspace` that he agreed to; see
    `extend.prompt_commands`. Raises WorkspaceError, ConfigError."""
    opened = Workspace.open(workspace)
    settings = load_settings(opened.root)
    locked = any("mode" in table for table in settings.policy.settings.values())
    return commands.prompt_commands(brought(opened, settings.project_files), locked)


def undo(
    workspace: Path,
    target: str | None = None,
    *,
    force: bool = False,
    lock: WorkspaceLock | None = None,
) -> Undone:
    """Take back a turn's changes (the last one's by default); see `journal.undo`."""
    root = Workspace.open(workspace).root
    return _logged("undo", root, undo_turn(root, target, force=force, lock=lock))


def redo(
    workspace: Path,
    target: str | None = None,
    *,
    force: bool = False,
    lock: WorkspaceLock | None = None,
) -> Undone:
    """Take back an undo; see `journal.undo`."""
    root = Workspace.open(workspace).root
    return _logged("redo", root, redo_turn(root, target, force=force, lock=lock))


def _logged(what: str, root: Path, done: Undone) -> Undone:
    """Put an undo or redo into the audit log of the session whose turn it was."""
    if load_settings(root).audit != "off":
        with AuditLog(done.session) as log:
            log.write({"type": what, "turn": done.turn})
            for change in done.changed:
                log.append(change)
            log.sync()
    return done


def replay(session: str, workspace: Path) -> Iterator[Event | Difference]:
    """Run a recorded session again, the model's replies taken from its transcript and the tools
    real, on a workspace that is as it was before.

    Yields the new events; last, where an observation differs from the recorded one, a Difference.
    """
    recorded = transcript.read(session)
    started = next((e for e in recorded.events if isinstance(e, SessionStarted)), None)
    if started is None:
        raise UsageError(f"session {session} holds nothing to replay")
    model = ReplayModel(recorded.events, _recorded_info(started.model, started.model_sha256))
    options = RunOptions(workspace, yes=True)
    seen: list[Event] = []
    with open_session(options, model) as again:
        for place, event in enumerate(recorded.events):
            if isinstance(event, SessionStarted) or _is_main_switch(event):
                model.become(_recorded_info(event.model, event.model_sha256))
                again.planner = event.planner
            for new in _done_again(again, event, recorded, place):
                seen.append(new)
                yield new
    difference = compare(recorded.events, seen)
    if difference is not None:
        yield difference


class Recorders:
    """Several places where events are kept, asked in order: what the first cannot keep is not
    handed on."""

    def __init__(self, *places: Recorder) -> None:
        self._places = places

    def append(self, event: Event) -> None:
        """Keep one event everywhere. Raises WorkspaceError."""
        for place in self._places:
            place.append(event)

    def close(self) -> None:
        """Close all."""
        for place in self._places:
            place.close()

    def discard(self) -> None:
        """Finish all, and keep nothing."""
        for place in self._places:
            place.discard()


def _done_again(
    again: Session, event: Event, recorded: transcript.Transcript, place: int
) -> Iterator[Event]:
    """What the user did then, for the event that tells of it."""
    if isinstance(event, TurnStarted) and event.kind == "command":
        yield from again.run_command(event.prompt)
    elif isinstance(event, TurnStarted):
        again.check = event.check
        said = iter(steered(recorded.events[place + 1 :]))
        again.steering = lambda: next(said, [])
        yield from again.run(event.prompt)
    elif isinstance(event, ChangesUndone) and event.session == recorded.session:
        yield from again.undo(f"{again.id}:{event.turn}", again=event.again)
    elif isinstance(event, Rewound):
        yield from again.rewind(event.turn)
    elif isinstance(event, ModeChanged) and event.mode in again.services.gate.possible():
        again.services.gate.set_mode(event.mode)
    elif isinstance(event, ConversationReplaced):
        yield from again.replace_conversation(event.messages)


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


def _recorders(
    recorder: transcript.TranscriptWriter, settings: Settings, info: ModelInfo
) -> Recorder:
    """The audit log, unless it is switched off, and then the transcript."""
    if settings.audit == "off":
        return recorder
    prune_audit(settings.audit_days, settings.audit_bytes)
    facts = {
        "backend": info.backend,
        "template_sha256": _template(info.id),
        "policy": {str(file): sha256(file.read_bytes()) for file in settings.policy.files},
        "audit": settings.audit,
    }
    log = AuditLog(recorder.session, texts=settings.audit == "texts", facts=facts)
    return Recorders(log, recorder)


def _template(model: str) -> str:
    """The pinned hash of a model's chat template; "" where models.lock does not have it."""
    known = (e.chat_template_sha256 for e in models_lock.load().entries if e.id == model)
    return next(known, "")


class WorkspaceUndoing:
    """Implements `session.Undoing`. `lock` is the workspace's, where the session holds it."""

    def __init__(self, root: Path, session: str, lock: WorkspaceLock | None) -> None:
        self._root = root
        self._session = session
        self._lock = lock

    def undo(self, which: str | None, force: bool) -> Undone:
        """See `journal.undo.undo`."""
        done = undo_turn(self._root, which, force=force, lock=self._lock)
        return _logged("undo", self._root, done)

    def redo(self, which: str | None, force: bool) -> Undone:
        """See `journal.undo.redo`."""
        done = redo_turn(self._root, which, force=force, lock=self._lock)
        return _logged("redo", self._root, done)

    def back_to(self, turn: int) -> list[Undone]:
        """See `journal.undo.undo_from`."""
        done = undo_from(self._root, self._session, turn, lock=self._lock)
        return [_logged("undo", self._root, one) for one in done]


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


def open_models(workspace: Path, model: str | None = None, scripted: Path | None = None) -> Router:
    """The models for work outside of a session, by the settings of `workspace`; none is loaded.

    `model` serves every role where it is given. Raises UsageError, ConfigError, LockError.
    """
    settings = load_settings(workspace, {"model": model})
    if model is not None:
        settings = replace(settings, roles={})
    return _router(None, scripted, settings)


def open_prompts(project: Brought | None = None, plugins: Plugins | None = None) -> Prompts:
    """The texts that models see: the user's own come first, then the project's, as far as the user
    agreed to them; last what plug-ins say of their tools."""
    return Prompts(
        [config_dir() / "prompts"],
        project_prompts(project) if project else {},
        plugins.descriptions() if plugins else {},
    )


def prompts_of(workspace: Path) -> Prompts:
    """The texts that models see in `workspace`. Raises WorkspaceError, ConfigError."""
    opened = Workspace.open(workspace)
    return open_prompts(brought(opened, load_settings(opened.root).project_files))


def open_model(entry: Entry, settings: Settings) -> Model:
    """The model of an entry, its file verified; it is loaded when it is first asked.

    Raises ModelNotInstalled, ModelFileError; for one of Ollama's NotLocal, UsageError.
    """
    if entry.backend == "ollama":
        from localagent.models.ollama import Ollama

        return Ollama(
            entry.name,
            model_info(entry, settings),
            host=settings.ollama_host,
            allowed_hosts=settings.policy.allowed_hosts,
            silence=settings.silence_seconds,
        )
    path = store.path_for(entry)
    from localagent.models.llama_library import usable_gpus
    from localagent.models.llamacpp import LlamaCpp

    info = model_info(entry, settings)
    gpus = usable_gpus()
    try:
        fit = planned(
            path,
            info.profile,
            threads=settings.threads,
            gpu_layers=settings.gpu_layers,
            memory=settings.memory_bytes,
            gpus=gpus,
        )
    except GgufError as error:
        raise ModelLoadError(
            f"cannot load {path.name}: {error}", f"localagent models verify {entry.id}"
        ) from None
    return LlamaCpp(
        path,
        replace(info, profile=replace(info.profile, window=fit.window, parallel=fit.parallel)),
        threads=settings.threads,
        gpu_layers=fit.gpu_layers if gpus else settings.gpu_layers,
        batch=fit.batch,
        kv_type=fit.kv_type,
        flash=fit.flash,
        kv_bytes=settings.kv_cache_bytes,
        nice=settings.nice,
        silence=settings.silence_seconds,
        notes=[fit.reasons[0]] if fit.window < info.profile.window else [],
    )


def model_info(entry: Entry, settings: Settings) -> ModelInfo:
    """Who the model of an entry is, with what the settings change of its profile."""
    profile = entry.profile.profile()
    profile = replace(
        profile,
        window=settings.window or profile.window,
        candidates=settings.candidates or profile.candidates,
    )
    return ModelInfo(entry.id, entry.backend, entry.pin, profile)


def _router(model: Model | Router | None, scripted: Path | None, settings: Settings) -> Router:
    """The models that a session may use: those of the lock, or the given one alone."""
    if scripted is not None and model is None:
        model = ScriptedModel.from_file(scripted)
    if isinstance(model, Router):
        return model
    if model is not None:
        return Router.of(model)
    lock = models_lock.load()
    catalogue = {
        entry.id: Pinned(
            model_info(entry, settings), entry.bytes, partial(open_model, entry, settings)
        )
        for entry in lock.entries
    }
    return Router(catalogue, settings.model or lock.default, settings.roles, settings.fallback)


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


def _is_main_switch(event: Event) -> TypeGuard[ModelSwitched]:
    """Whether another model took over the work."""
    return isinstance(event, ModelSwitched) and event.role == MAIN


def _recorded_info(model: str, sha256: str) -> ModelInfo:
    """Who a model of a recorded session was; its profile where the lock still has it."""
    known = {entry.id: entry.profile.profile() for entry in models_lock.load().entries}
    return ModelInfo(model, "replay", sha256, known.get(model, Profile()))

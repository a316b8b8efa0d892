"""The permission gate of a session: the rules, with what its flags, sandbox and mode say."""

from __future__ import annotations

from localagent.core.errors import UsageError
from localagent.core.events import MODES, Mode
from localagent.permissions.grants import WorkspaceGrants, exactly
from localagent.permissions.rules import Effect, Permissions, Ruling


class SessionGate:
    """Implements `agent.turn.Gate`. `yes` is the user's flag, `confined` says that the sandbox
    confines commands, `read_only` that another session holds the workspace."""

    def __init__(
        self,
        rules: Permissions,
        grants: WorkspaceGrants,
        *,
        mode: Mode = "ask",
        yes: bool = False,
        confined: bool = False,
        read_only: bool = False,
    ) -> None:
        self._rules = rules
        self.grants = grants
        self._mode: Mode = "ask"
        self._yes = yes
        self._confined = confined
        self._read_only = read_only
        self.set_mode(mode)

    @property
    def mode(self) -> Mode:
        """How much may be done without asking."""
        return self._mode

    def possible(self) -> tuple[Mode, ...]:
        """The modes that are possible here."""
        return tuple(mode for mode in MODES if mode != "auto" or self._confined)

    def set_mode(self, mode: Mode) -> None:
        """Judge by another mode from now on; may be called from any thread.

        Raises UsageError for one that is not possible here.
        """
        if mode not in MODES:
            raise UsageError(f"there is no mode {mode!r}", f"the modes are: {', '.join(MODES)}")
        if mode not in self.possible():
            raise UsageError(
                f"the mode {mode} needs a sandbox, and there is none here",
                "localagent doctor says why; auto-edit asks for each command",
            )
        self._mode = mode

    def decide(self, tool: str, effect: Effect, subject: str, named: frozenset[str]) -> Ruling:
        """See `agent.turn.Gate`."""
        return self._rules.decide(
            tool,
            effect,
            subject,
            named=named,
            yes=self._yes,
            confined=self._confined,
            read_only=self._read_only,
            mode=self._mode,
        )

    def rememberable(self, effect: Effect, subject: str) -> tuple[str, ...]:
        """See `agent.turn.Gate`."""
        if effect == "execute" and not self._confined:
            return ()  # without a sandbox each command is asked for
        return tuple(str(grant) for grant in exactly(effect, subject))

    def remember(self, effect: Effect, subject: str) -> None:
        """See `agent.turn.Gate`. Raises WorkspaceError."""
        if self.rememberable(effect, subject):
            self.grants.remember(effect, subject)

"""Review a range of a repository, with git, the sandbox, the linters and the model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from localagent.agent.model_calls import Record
from localagent.agent.review.hunks import Hunk, parse_hunks
from localagent.agent.review.linters import Linter, configured, failure, new_findings
from localagent.agent.review.questions import ask_about, related_definitions
from localagent.core.changes import Change, deletion, file_change
from localagent.core.errors import OutsideWorkspace, SandboxError
from localagent.core.findings import CodeFinding
from localagent.index.base import Index
from localagent.models.base import Model
from localagent.permissions.rules import Permissions
from localagent.project.project import Project, user_prompts
from localagent.project.python_environment import check_variables
from localagent.redaction.secret_files import is_secret
from localagent.sandbox.base import Command, CommandResult, Sandbox
from localagent.sandbox.select import choose
from localagent.workspace.git.ranges import DiffRange, content, parse_range, range_diff

# Control characters, colons, and bytes that are not UTF-8.
_UNREPORTABLE = re.compile(r"[\x00-\x1f:\udc80-\udcff]")
_MAX_TEXT = 1 << 20  # bytes of a settings file, or of a file with definitions


@dataclass
class DiffReview:
    """The review of one range. `warnings` say what could not be done."""

    project: Project
    sides: DiffRange
    hunks: list[Hunk]
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, project: Project, text: str) -> DiffReview:
        """Read the range that `text` names. Raises UsageError."""
        sides = parse_range(project.root, text)
        hunks = parse_hunks(range_diff(project.root, sides))
        added = [hunk for hunk in hunks if hunk.added]
        reviewed = [hunk for hunk in added if not _obstacle(hunk)]
        left = dict.fromkeys((h.path, why) for h in added if (why := _obstacle(h)))
        warnings = [f"not reviewed: {path!r} {why}" for path, why in left]
        return cls(project, sides, reviewed, warnings)

    def lint(self) -> list[CodeFinding]:
        """The new findings of the project's linters, on lines that the diff adds."""
        linters = configured(*self._settings())
        if not linters or not self.hunks:
            return []
        settings = self.project.settings
        choice = choose(settings.sandbox, settings.policy.sandboxes, settings.sandbox_ports)
        try:
            if not choice.sandbox.confined:
                self.warnings.append(f"no linter runs, since there is no sandbox: {choice.reason}")
                return []
            return [each for linter in linters for each in self._new(linter, choice.sandbox)]
        finally:
            choice.sandbox.close()

    def _new(self, linter: Linter, sandbox: Sandbox) -> Iterator[CodeFinding]:
        """The new findings of one linter."""
        old_paths = {h.path: h.old_path for h in self.hunks if h.path.endswith(linter.suffixes)}
        if not old_paths:
            return
        sides = []
        for commit, paths in (
            (self.sides.old, sorted({path for path in old_paths.values() if path})),
            (self.sides.new, sorted(old_paths)),
        ):
            done = self._run(linter, sandbox, commit, paths) if paths else None
            if done is not None and (reason := failure(linter, done)):
                self.warnings.append(reason)
                return
            sides.append(list(linter.parse(done.output)) if done else [])
        old, new = sides
        found = [self._relative(each) for each in new_findings(old, new, old_paths)]
        touched = {(h.path, line) for h in self.hunks for line in h.added}
        inside = [each for each in found if (each.path, each.line) in touched]
        yield from inside
        if others := len(found) - len(inside):
            text = f"{linter.name}: {others} more new on lines that the diff does not touch"
            self.warnings.append(text)

    def _run(
        self, linter: Linter, sandbox: Sandbox, commit: str, paths: Sequence[str]
    ) -> CommandResult:
        """Run a linter on one side. Raises SandboxError if the rules forbid the command."""
        root, settings = self.project.root, self.project.settings
        line = linter.line(paths)
        rules = Permissions(settings.permissions, settings.project_permissions, interactive=False)
        ruling = rules.decide("check", "execute", line, confined=True)
        if ruling.action != "allow":
            raise SandboxError(f"not allowed: {line}: {ruling.reason}")
        changes = list(self._side(commit))
        with sandbox.open(root, changes) as snapshot:
            command = Command(line, seconds=settings.check_seconds, env=check_variables(root))
            return snapshot.run(command)

    def _side(self, commit: str) -> Iterator[Change]:
        """The changes that give the files of the diff the content of one side."""
        root = self.project.root
        for path in sorted({p for h in self.hunks for p in (h.path, h.old_path) if p}):
            data = content(root, commit, path)
            if data is not None:
                yield file_change(path, data)
            elif content(root, "", path) is not None:
                yield deletion(path)

    def _relative(self, finding: CodeFinding) -> CodeFinding:
        """The finding with its path relative to the workspace."""
        path = finding.path.removeprefix(f"{self.project.root}/").removeprefix("./")
        return replace(finding, path=path)

    def ask(
        self, model: Model, index: Index, record: Record, progress: Callable[[int, int], None]
    ) -> Iterator[CodeFinding]:
        """The model's findings, hunk by hunk. Raises BackendError."""
        prompts = user_prompts()
        for number, hunk in enumerate(self.hunks, 1):
            progress(number, len(self.hunks))
            definitions = related_definitions(hunk, index, self._text)
            found = ask_about(model, prompts, hunk, definitions, record)
            if found is not None:
                yield found

    def _text(self, path: str) -> str:
        """The text of a file that the user may show; a warning names an unreadable file."""
        workspace = self.project.workspace
        try:
            name = workspace.relative(path)
            data = b"" if is_secret(name) else workspace.read_bytes(name, _MAX_TEXT)
        except (OSError, OutsideWorkspace) as error:
            reason = getattr(error, "strerror", None) or str(error)
            warning = f"cannot read {path}: {reason}"
            if warning not in self.warnings:
                self.warnings.append(warning)
            return ""
        return data.decode("utf-8", "replace")

    def _settings(self) -> tuple[Sequence[str], Callable[[str], str]]:
        """The names in the workspace's folder, and a function that reads one of them."""
        return [path.name for path in self.project.root.iterdir()], self._text


def _obstacle(hunk: Hunk) -> str:
    """Why a hunk is not reviewed, or "". Linters name files in lines such as "a.py:3: message"."""
    if hunk.kind != "file":
        return f"is a {hunk.kind}"
    if is_secret(hunk.path):
        return "may hold secrets"
    if _UNREPORTABLE.search(hunk.path):
        return "has a name that linters cannot report"
    return ""

"""`localagent audit`: list what sessions did, and verify the audit log."""

from __future__ import annotations

import argparse
import re
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localagent.cli.options import add_command, add_command_group, add_json
from localagent.cli.output import CliResult, new_file, text_result
from localagent.ui.chat.output import Output
from localagent.ui.view.format import count
from localagent.ui.view.sanitize import one_line

if TYPE_CHECKING:
    from localagent.cli.options import Commands
    from localagent.history.audit.log import LoggedSession

_CHANGED = 1
"""Exit code of `audit verify` if the log was changed."""
_DESCRIPTION = """\
The audit log: for each session the model, the policy, every file shown to the
model or written, every command, decision and refusal. Each record holds the
hash of the record before it, so a later change is detected."""
_EPILOG = """\
examples:
  localagent audit list
  localagent audit show ab3d
  localagent audit verify
  localagent audit head
  localagent audit export ab3d > ab3d.jsonl
  localagent audit export --bundle evidence.tar --since 2026-11-01

ID is a session's id, or a beginning or end that only one id has.
"""
_VERIFY = """\
Check every record against its hash, the record before it, and the head. Exit
code 0: nothing was changed since it was written. 1: something was changed, and
is named."""
_HEAD = """\
Print the hash of the last record. Whoever may write to the log can rewrite all
of it; only a hash that is stored elsewhere reveals that. Store it where they
cannot write, and pass it to verify --head later."""
_HASH_CHARS = 12
_VALUE_CHARS = 160


def register(commands: Commands) -> None:
    """Add the command audit and its actions to the parser."""
    actions = add_command_group(
        commands, "audit", "what sessions did; verify", description=_DESCRIPTION, epilog=_EPILOG
    )
    listing = add_command(actions, "list", "the sessions of the log, newest first", list_sessions)
    showing = add_command(actions, "show", "a session's records, a line each", show)
    showing.add_argument("id", metavar="ID", help="the session's id, or its beginning or end")
    checking = add_command(
        actions, "verify", "whether anything was changed", check, description=_VERIFY
    )
    checking.add_argument(
        "--head", metavar="HASH", help="also check that the log continues this stored head"
    )
    head = add_command(actions, "head", "the hash to store elsewhere", show_head, description=_HEAD)
    for action in (listing, showing, checking, head):
        add_json(action)
    exporting = add_command(
        actions, "export", "the records of a session or of all, as stored (JSON lines)", export
    )
    exporting.add_argument("id", metavar="ID", nargs="?", help="the session (default: all)")
    exporting.add_argument(
        "-o", dest="output", metavar="FILE", type=Path, help="write to a new file FILE"
    )
    exporting.add_argument(
        "--bundle",
        metavar="FILE",
        type=Path,
        help="write an archive for an auditor: logs, policies, models.lock, SBOM",
    )
    for flag, text in (("--since", "first"), ("--until", "last")):
        exporting.add_argument(
            flag,
            metavar="DATE",
            type=date.fromisoformat,
            help=f"with --bundle: the {text} day, such as 2026-11-28",
        )


def list_sessions(_args: argparse.Namespace) -> CliResult:
    """List sessions, one row each, the newest first: start, id, counts and folder."""
    from localagent.history.audit.log import sessions

    # An id begins with the start time of its session, so a log without records is sorted, too.
    known = sorted(sessions(), key=lambda session: session.session, reverse=True)
    if not known:
        return CliResult([Output("note", "the audit log is empty")], [])
    rows = []
    for session in known:
        counts = [count(session.records, "record")]
        counts += [f"{session.changed} changed"] if session.changed else []
        counts += [f"{session.refused} refused"] if session.refused else []
        counts += [f"{session.unreadable} damaged lines"] if session.unreadable else []
        rows.append((_start(session), session.session, ", ".join(counts), session.workspace))
    return CliResult([Output("table", rows=tuple(rows))], [asdict(session) for session in known])


def _start(session: LoggedSession) -> str:
    """Return the start time of a session, from its first record or from its id."""
    if session.started:
        return session.started[:16].replace("T", " ")
    stamp = re.match(r"(\d{4})(\d\d)(\d\d)-(\d\d)(\d\d)", session.session)
    return "{}-{}-{} {}:{}".format(*stamp.groups()) if stamp else ""


def show(args: argparse.Namespace) -> CliResult:
    """Show the records of one session, a line each."""
    from localagent.history.audit.log import find, records

    stored = records(find(args.id))
    lines = [
        _record_line(record) if record is not None else "     (a damaged line)" for record in stored
    ]
    outputs = [Output("text", "\n".join(lines))]
    if damaged := stored.count(None):
        outputs.append(
            Output("note", f"{damaged} lines are damaged; check with localagent audit verify")
        )
    return CliResult(outputs, [record for record in stored if record is not None])


def check(args: argparse.Namespace) -> CliResult:
    """Verify the whole audit log, and list the changes found."""
    from localagent.history.audit.verify import verify

    result = verify(args.head)
    lines = [f"{'CHANGED' if f.serious else 'note'}  {f}" for f in result.findings]
    total = f"{count(result.sessions, 'session')}, {count(result.records, 'record')}"
    pruned = f", {result.pruned} sessions pruned" if result.pruned else ""
    verdict = "nothing was changed" if result.intact else "the log was CHANGED"
    lines.append(f"{verdict}: {total}{pruned}")
    if result.sessions:
        lines.append(f"head {result.head}")
    data = {**asdict(result), "intact": result.intact}
    return text_result(*lines, data=data, exit_code=0 if result.intact else _CHANGED)


def show_head(_args: argparse.Namespace) -> CliResult:
    """Print the hash of the last record."""
    from localagent.history.audit.verify import head_hash

    digest = head_hash()
    return text_result(digest, data={"head": digest})


def export(args: argparse.Namespace) -> CliResult:
    """Write the stored lines of the log, byte for byte, or an archive for an auditor."""
    from localagent.history.audit import log

    if args.bundle is not None:
        return _export_bundle(args)
    names = [log.find(args.id)] if args.id else [s.session for s in log.sessions()]
    data = b"".join(log.raw(name) for name in names)
    if args.output is None:
        args.console.export(data)
    else:
        new_file(args.output, data, mode=0o600)
    return CliResult()


def _export_bundle(args: argparse.Namespace) -> CliResult:
    """Write the logs of a period with the policies, model pins and packages, as one archive."""
    from localagent.config import policy
    from localagent.history.audit import evidence
    from localagent.models.catalog.lock import shipped_path, user_path

    sessions = evidence.sessions_between(args.since, args.until)
    files = evidence.log_files(sessions) | {"sbom.cdx.json": evidence.packages()}
    others = {f"policies{path}": path for path in policy.places()}
    others |= {"models.lock": shipped_path(), "models.user.lock": user_path()}
    files |= {name: path.read_bytes() for name, path in others.items() if path.is_file()}
    new_file(args.bundle, evidence.archive(files), mode=0o600)
    sign = f"openssl dgst -sha256 -sign site.key -out {args.bundle}.sig {args.bundle}"
    return text_result(
        f"wrote {args.bundle}: {count(len(sessions), 'session')}, {count(len(files), 'file')}",
        f"sign it with your site's key: {sign}",
    )


def _record_line(record: dict[str, Any]) -> str:
    """Format a record as one line: number, time, type and fields."""
    parts = []
    for key, value in record.items():
        if key in ("seq", "time", "type", "prev") or value in ("", None, [], {}):
            continue
        text = str(value)
        if key.endswith("sha256"):
            text = text[:_HASH_CHARS]
        parts.append(f"{key}={one_line(text, _VALUE_CHARS)}")
    time = str(record.get("time", ""))[:19].replace("T", " ")
    return f"{record['seq']:>5} {time} {record.get('type', '')!s:<9} {'  '.join(parts)}"

"""`localagent audit`: what sessions did, and whether the log of it is as it was written."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localagent.cli.options import add_command
from localagent.cli.output import note, say, table
from localagent.core.errors import UsageError
from localagent.ui.view.format import count
from localagent.ui.view.sanitize import one_line

if TYPE_CHECKING:
    from localagent.cli.options import Commands

_CHANGED = 1
_DESCRIPTION = """\
The audit log: for each session the model, the policy, every file shown to the
model or written, every command, decision and refusal. Every record holds the
hash of the one before, so what is changed later is found."""
_EPILOG = """\
examples:
  localagent audit list
  localagent audit show ab3d
  localagent audit verify
  localagent audit head
  localagent audit export ab3d > ab3d.jsonl

ID is a session's id, or its beginning or end where that is enough.
"""
_VERIFY = """\
Check every record against its hash, the one before it, and the head. Exit code
0: nothing was changed since it was written. 1: something was; it is named."""
_HEAD = """\
Print the hash of the head's last record. Somebody who may write to the log can
make all of it anew; only a hash that was noted elsewhere shows that. Note it
where they cannot write, and give it to verify --head later."""
# Of a hash, in a line for people.
_HASH_CHARS = 12


def register(commands: Commands) -> None:
    """Add the command and its subcommands."""
    parser = add_command(
        commands, "audit", "what sessions did; verify", description=_DESCRIPTION, epilog=_EPILOG
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = add_command(actions, "list", "the sessions of the log, newest first")
    listing.set_defaults(execute=list_sessions)
    showing = add_command(actions, "show", "a session's records, a line each")
    showing.add_argument("id", metavar="ID", help="the session's id, or enough of it")
    showing.set_defaults(execute=show)
    checking = add_command(actions, "verify", "whether anything was changed", description=_VERIFY)
    checking.add_argument(
        "--head", metavar="HASH", help="also check that the log goes on from this noted head"
    )
    checking.set_defaults(execute=check)
    head = add_command(actions, "head", "the hash to note elsewhere", description=_HEAD)
    head.set_defaults(execute=print_head)
    for action in (listing, showing, checking, head):
        action.add_argument("--json", action="store_true", help="write JSON")
    exporting = add_command(
        actions, "export", "a session's records, or all, as they are stored (JSON lines)"
    )
    exporting.add_argument("id", metavar="ID", nargs="?", help="the session (default: all)")
    exporting.add_argument("-o", dest="output", metavar="FILE", help="write to a new file FILE")
    exporting.set_defaults(execute=export)


def list_sessions(args: argparse.Namespace) -> int:
    """One line for each session."""
    from localagent.history.audit.log import sessions

    found = sessions()
    if args.json:
        say(json.dumps([asdict(one) for one in found], indent=2))
        return 0
    if not found:
        note("the audit log is empty")
    rows = []
    for one in found:
        counts = [count(one.records, "record")]
        counts += [f"{one.changed} changed"] if one.changed else []
        counts += [f"{one.refused} refused"] if one.refused else []
        counts += [f"{one.unreadable} lines that are not as written"] if one.unreadable else []
        rows.append((one.session, one.started[:19], ", ".join(counts), one_line(one.workspace)))
    table(rows)
    return 0


def show(args: argparse.Namespace) -> int:
    """The records of one session."""
    from localagent.history.audit.log import find, records

    session = find(args.id)
    found = records(session)
    if args.json:
        say(json.dumps([record for record in found if record is not None], indent=2))
    else:
        for record in found:
            say(_line(record) if record is not None else "     (a line that is not as written)")
    bad = found.count(None)
    if bad:
        note(f"{bad} lines are torn or were changed; see localagent audit verify")
    return 0


def check(args: argparse.Namespace) -> int:
    """Verify the whole log."""
    from localagent.history.audit.verify import verify

    result = verify(args.head)
    if args.json:
        told = {**asdict(result), "intact": result.intact}
        say(json.dumps(told, indent=2))
        return 0 if result.intact else _CHANGED
    for finding in result.findings:
        say(f"{'CHANGED' if finding.serious else 'note'}  {finding}")
    what = f"{count(result.sessions, 'session')}, {count(result.records, 'record')}"
    pruned = f", {result.pruned} sessions pruned" if result.pruned else ""
    verdict = "nothing was changed" if result.intact else "the log is NOT as it was written"
    say(f"{verdict}: {what}{pruned}")
    if result.sessions:
        say(f"head {result.head}")
    return 0 if result.intact else _CHANGED


def print_head(args: argparse.Namespace) -> int:
    """The hash that somebody may note elsewhere."""
    from localagent.history.audit.verify import head_hash

    digest = head_hash()
    say(json.dumps({"head": digest}) if args.json else digest)
    return 0


def export(args: argparse.Namespace) -> int:
    """The stored lines, byte for byte."""
    from localagent.history.audit import log

    names = [log.find(args.id)] if args.id else [s.session for s in log.sessions()]
    data = b"".join(log.raw(name) for name in names)
    if args.output is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        return 0
    try:
        fd = os.open(Path(args.output), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise UsageError(
            f"cannot write {args.output}: {error.strerror}", "name a file that is not there yet"
        ) from None
    with os.fdopen(fd, "wb") as file:
        file.write(data)
    return 0


def _line(record: dict[str, Any]) -> str:
    """A record as one line: number, time, type and what it says."""
    parts = []
    for key, value in record.items():
        if key in ("seq", "time", "type", "prev") or value in ("", None, [], {}):
            continue
        shown = str(value)
        if key.endswith("sha256"):
            shown = shown[:_HASH_CHARS]
        parts.append(f"{key}={one_line(shown, 160)}")
    time = str(record.get("time", ""))[:19].replace("T", " ")
    return f"{record['seq']:>5} {time} {record.get('type', '')!s:<9} {'  '.join(parts)}"

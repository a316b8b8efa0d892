"""Split a column of a database: the harness makes the migration, the model writes small pieces.

    facts → split and join functions → revision and class → up, down, up → queries → tests → apply

The database that the user works with stays as it is; `alembic upgrade head` is the user's.
"""

from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from localagent.agent.checks.baseline import baseline_check
from localagent.agent.checks.runner import CheckResult, run_check
from localagent.agent.limits import MIGRATION
from localagent.agent.migration.alembic_tool import CONFIG, AlembicTool
from localagent.agent.migration.model_classes import (
    ColumnSplit,
    columns_of,
    module_of,
    queries_of,
    split_class,
    with_import,
)
from localagent.agent.migration.questions import (
    Functions,
    ask_functions,
    code_request,
    query_prompt,
    source_of,
)
from localagent.agent.migration.revision_text import revision_text
from localagent.agent.migration.split_request import examples_of, may_split, requested_splits
from localagent.agent.model_calls import ask, choose
from localagent.agent.planners.base import Result
from localagent.agent.repair.candidates import sample_request
from localagent.agent.repair.parsed_text import parse
from localagent.agent.repair.problem import failures
from localagent.agent.tool_calls import dispatch
from localagent.agent.turn import Turn
from localagent.code.file_kinds import is_test
from localagent.context.builder import text_of
from localagent.core.changes import Change, file_change
from localagent.core.errors import EditError, ToolError
from localagent.core.events import CandidateProposed, CandidateRejected, Event, Step, Warned
from localagent.core.messages import Message
from localagent.edits.python_edits import add_definitions, replace_function
from localagent.edits.textfile import decode, encode, with_text


@dataclass
class _Texts:
    """The workspace's files, with the texts that the migration gives to some of them."""

    turn: Turn
    new: dict[str, str] = field(default_factory=dict)

    def text(self, path: str) -> str:
        if path in self.new:
            return self.new[path]
        return text_of(self.turn.services.workspace, path, self.turn.record_read)

    def changes(self) -> list[Change]:
        """The changes of all files with a new text, in each file's own encoding."""
        workspace = self.turn.services.workspace
        made = []
        for path, text in self.new.items():
            there = workspace.exists(path)
            data = encode(with_text(decode(workspace.read_bytes(path)), text)) if there else b""
            made.append(file_change(path, data if there else text.encode()))
        return made


def find_split(turn: Turn) -> Generator[Event, None, tuple[ColumnSplit, str] | None]:
    """The split of a column that the request asks for, and Alembic's settings file; or None.

    Where several classes have such a column, the model chooses.
    """
    if turn.request.is_step or not may_split(turn.typed):
        return None
    services = turn.services
    files = services.files()
    configs = [path for path in files if path.rpartition("/")[2] == CONFIG]
    if not configs:
        return None
    paths = [path for path in files if path.endswith(".py") and not is_test(path)]
    texts = {path: text_of(services.workspace, path) for path in paths}
    options = requested_splits(turn.typed, columns_of(texts))
    if not options:
        yield Warned("no mapped class has the column that is to be split; this is no migration")
        return None
    chosen = options[0]
    if len(options) > 1:
        names = {f"{o.column.class_name}.{o.column.name}": o for o in options}
        text = services.prompts.render(
            "migration/column", task=turn.prompt.strip(), columns="\n".join(names)
        )
        chosen = names[(yield from choose(turn, "classify", [Message("user", text)], [*names]))]
    return chosen, min(configs, key=len)


def split_column(
    turn: Turn, split: ColumnSplit, config: str
) -> Generator[Event, None, Result | None]:
    """Split a column and apply the change; None if the harness cannot, after a warning.

    Raises WorkspaceError, and RefusedError if a command or a change is refused.
    """
    turn.services.workspace.ensure_writable()
    command = "python -m alembic upgrade head"
    allowed = yield from dispatch.permit(turn, "check", "execute", command, command)
    if not allowed.allowed:
        raise dispatch.refusal(allowed)
    old, parts = split.column, " and ".join(split.parts)
    yield Step("migrate", f"splitting {old.table}.{old.name} into {parts}, on a copy")
    tool = AlembicTool(turn, config)
    try:
        facts = tool.ask("facts", table=old.table, column=old.name)
    except ToolError as error:
        yield Warned(f"the harness cannot migrate this database ({error.message})")
        return None
    if facts["tied"] or not facts["keys"]:
        yield Warned(
            f"{old.table}.{old.name} is unique, a key or part of an index of several columns; "
            "the harness splits other columns only"
        )
        return None
    yield Step("migrate", f"{facts['rows']:,} rows, {facts['distinct']:,} values")
    check, start = yield from baseline_check(turn)
    texts = _Texts(turn)
    literals = _literals(texts.text(path) for path in _test_files(turn))
    examples = examples_of(turn.typed, len(split.parts))
    functions = yield from ask_functions(turn, tool, split, facts, examples, literals)
    if functions is None:
        return Result("unsolved", "no functions kept the values; nothing was changed", check)
    try:
        yield from _write_revision(tool, split, facts, functions, texts)
        yield from _write_queries(turn, split, texts, check, start)
    except (ToolError, EditError) as error:
        return Result("unsolved", f"{error.message}; nothing was changed", check)
    yield from _write_test(turn, split, functions, literals, texts, check)
    return (yield from _apply(turn, split, functions, texts, check, start))


def _write_revision(
    tool: AlembicTool,
    split: ColumnSplit,
    facts: Mapping[str, Any],
    functions: Functions,
    texts: _Texts,
) -> Generator[Event, None, None]:
    """Write the class and the revision, and check both on a copy of the database."""
    old, code = split.column, functions.code
    message = f"split {old.name} of {old.table} into {' and '.join(split.parts)}"
    revision = yield from tool.revision(message)
    yield Step("migrate", f"writing {revision.path} and {old.class_name} in {old.path}")
    texts.new[old.path] = split_class(texts.text(old.path), split, code, nullable=facts["nullable"])
    head = facts["head"]
    operations = tool.ask("operations", texts.changes(), table=old.table, head=head)
    skeleton = decode(revision.data).text
    texts.new[revision.path] = revision_text(skeleton, split, code, operations, facts["keys"])
    yield Step("migrate", "upgrade, downgrade and upgrade again, on a copy of the database")
    clean = not facts["drift"]
    changes = texts.changes()
    result = tool.ask("check", changes, table=old.table, head=head, revision="head", clean=clean)
    if result["fault"]:
        raise ToolError(f"the migration failed on a copy of the database: {result['fault']}")


def _write_queries(
    turn: Turn, split: ColumnSplit, texts: _Texts, check: str, start: CheckResult | None
) -> Generator[Event, None, None]:
    """Let the model change each function whose query uses the old column; the check judges.

    Raises ToolError if a query is outside of a function, or no reply is good.
    """
    class_name, column = split.column.class_name, split.column.name
    paths = [path for path in turn.services.files() if path.endswith(".py")]
    places = [
        (path, name)
        for path in sorted(paths, key=is_test)
        for name in queries_of(texts.text(path), class_name, column)
    ]
    for path, name in places:
        if not name:
            raise ToolError(f"{path} uses {class_name}.{column} outside of a function")
    originals = {path: texts.text(path) for path, _ in places}
    best = None
    if check and start is not None:
        best = yield from run_check(turn, check, texts.changes())
    for number in range(MIGRATION.query_rounds):
        for path, name in places:
            done = not queries_of(texts.text(path), class_name, column)
            if number and (best is None or best.ok) and done:
                continue
            best = yield from _write_query(
                turn, split, texts, (path, name, originals[path]), check, best
            )
    for path, _ in places:
        if left := queries_of(texts.text(path), class_name, column):
            raise ToolError(f"no reply changed the query in {left[0]} of {path}")
    if best is not None and not best.ok and start is not None and not start.passing <= best.passing:
        broken = sorted(start.passing - best.passing)
        raise ToolError(f"{broken[0] if broken else 'the check'} fails after the change")


def _write_query(
    turn: Turn,
    split: ColumnSplit,
    texts: _Texts,
    place: tuple[str, str, str],
    check: str,
    best: CheckResult | None,
) -> Generator[Event, None, CheckResult | None]:
    """Change one function; the first reply that fixes tests wins, else the first that breaks none.

    `place` is its path, name and file's original text. Returns the check's result with it.
    """
    path, name, original = place
    class_text, task = texts.text(split.column.path), turn.prompt
    code = source_of(original, name)
    start = _start(code, split)
    mistakes: list[str] = []
    before, fallback = texts.text(path), None
    yield Step("propose", f"writing {name} of {path}")
    for number in range(MIGRATION.query_samples):
        prompt = query_prompt(turn.services.prompts, task, split, class_text, code, mistakes)
        request = code_request(turn, prompt, start, MIGRATION.query_tokens)
        reply = yield from ask(turn, "migration", sample_request(turn, number, request))
        candidate = turn.ledger.next("candidate")
        try:
            text = replace_function(before, name, start + reply.text.partition("\n```")[0])
            if name in queries_of(text, split.column.class_name, split.column.name):
                owner = f"{split.column.class_name}.{split.column.name}"
                raise EditError(f"it still uses {owner}, which is no column")
            text = with_import(text, split)
        except EditError as error:
            yield CandidateRejected(candidate, error.message)
            mistakes = [error.message]
            continue
        yield CandidateProposed(candidate, MIGRATION.query_samples, "migration", [path])
        texts.new[path] = text
        if best is None:
            return None
        result = yield from run_check(turn, check, texts.changes(), candidate=candidate)
        if result.ok or best.passing < result.passing:
            return result
        if best.passing <= result.passing and fallback is None:
            fallback = (text, result)
        mistakes = failures(result, 1).splitlines()[:2]
    texts.new[path], kept = fallback or (before, best)
    if texts.new[path] == text_of(turn.services.workspace, path):
        del texts.new[path]
    return kept


def _start(code: str, split: ColumnSplit) -> str:
    """The lines of a function before its body, with its docstring.

    Where a query compares the column with an argument, a line follows that splits the argument.
    """
    node = ast.parse(code).body[0]
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    first = node.body[0]
    documented = ast.get_docstring(node) is not None
    kept = (first.end_lineno or first.lineno) if documented else first.lineno - 1
    lines = code.splitlines()[:kept]
    given = {argument.arg for argument in (*node.args.args, *node.args.kwonlyargs)}
    for each in ast.walk(node):
        if isinstance(each, ast.Compare) and isinstance(each.comparators[0], ast.Name):
            left, value = each.left, each.comparators[0].id
            is_column = isinstance(left, ast.Attribute) and left.attr == split.column.name
            if is_column and value in given:
                names = ", ".join(split.parts)
                lines.append(f"{' ' * first.col_offset}{names} = {split.split_name}({value})")
                break
    return "\n".join(lines) + "\n"


def _test_files(turn: Turn) -> list[str]:
    return [path for path in turn.services.files() if path.endswith(".py") and is_test(path)]


def _literals(texts: Sequence[str] | Generator[str, None, None]) -> list[str]:
    """The texts that tests give to calls, the most frequent first."""
    counts: Counter[str] = Counter()
    for text in texts:
        tree = parse(text)
        for node in ast.walk(tree) if tree is not None else ():
            if isinstance(node, ast.Call):
                given = [*node.args, *(keyword.value for keyword in node.keywords)]
                counts.update(
                    each.value
                    for each in given
                    if isinstance(each, ast.Constant) and isinstance(each.value, str)
                )
    return [text for text, _ in counts.most_common(MIGRATION.literals)]


def _write_test(
    turn: Turn,
    split: ColumnSplit,
    functions: Functions,
    literals: Sequence[str],
    texts: _Texts,
    check: str,
) -> Generator[Event, None, None]:
    """Add a test of the class that passes, with a value of the tests that has all parts; or none.

    Where a test file cannot import the class at its top, the test imports it.
    """
    old, shown = split.column, functions.verdict["split"]
    value = next((each for each in literals if shown.get(each) and all(shown[each])), None)
    files = _test_files(turn)
    path = next((p for p in files if value is not None and value in texts.text(p)), None)
    if value is None or path is None or not check:
        return
    before = texts.text(path)
    read = ", ".join(f"row.{part}" for part in split.parts)
    lines = [
        f"row = {old.class_name}({old.name}={json.dumps(value, ensure_ascii=False)})",
        f"assert ({read}) == {tuple(shown[value])!r}",
        f"assert row.{old.name} == {json.dumps(value, ensure_ascii=False)}",
    ]
    imported = f"from {module_of(old.path)} import {old.class_name}"
    head = f"def test_{old.name}_is_split_into_{'_and_'.join(split.parts)}():"
    for top, inside in (([imported, ""], []), ([], [imported, ""])):
        body = [f"    {line}" if line else "" for line in (*inside, *lines)]
        try:
            texts.new[path] = add_definitions(before, "\n".join([*top, head, *body]) + "\n")
        except EditError:
            break  # the file has such a test already
        result = yield from run_check(turn, check, texts.changes())
        if result.ok:
            return
    texts.new[path] = before
    if before == text_of(turn.services.workspace, path):
        del texts.new[path]


def _apply(
    turn: Turn,
    split: ColumnSplit,
    functions: Functions,
    texts: _Texts,
    check: str,
    start: CheckResult | None,
) -> Generator[Event, None, Result]:
    """Apply all changes, warn of values that stay whole, and run the check on the workspace."""
    odd = functions.verdict["odd"]
    if odd:
        values = ", ".join(repr(v) for v in functions.verdict["odd_values"])
        rows = functions.verdict["odd_rows"]
        yield Warned(
            f"{rows} row{'s' if rows != 1 else ''} would not join back, so the whole value goes "
            f"into {split.parts[0]}: {values}{' …' if odd > 5 else ''}"
        )
    paths = list(texts.new)
    yield Step("apply", f"changing {len(paths)} files")
    yield from dispatch.commit(turn, "edit", texts.changes())
    done = f"changed {', '.join(paths)}; the database is upgraded by `alembic upgrade head`"
    if not check:
        return Result("unverified", f"{done}; there was no check to run", "", "migration")
    confirmed = yield from run_check(turn, check, probe=False)
    if confirmed.ok:
        return Result("solved", f"{done}; the check passes", check, "migration")
    if start is not None and not start.ok:
        return Result("unverified", f"{done}; the check fails as before", check, "migration")
    return Result("unsolved", f"{done}, but the check fails now", check, "migration")

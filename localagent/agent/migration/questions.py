"""What the model writes for a migration: the functions between the columns, and queries."""

from __future__ import annotations

import ast
import json
import textwrap
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from localagent.agent.limits import MIGRATION
from localagent.agent.migration.alembic_tool import AlembicTool
from localagent.agent.migration.model_classes import ColumnSplit
from localagent.agent.model_calls import Reply, ask_all
from localagent.agent.repair.candidates import sample_request
from localagent.agent.turn import Turn
from localagent.context.prompts import Prompts
from localagent.core.errors import EditError
from localagent.core.events import CandidateProposed, CandidateRejected, Event, Step
from localagent.core.messages import Message
from localagent.edits.python_definitions import find_definition, parse, walk_definitions
from localagent.models.base import Request

Example = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Functions:
    """The code that splits and joins, and its verdict on all values of the column."""

    code: str
    verdict: Mapping[str, Any]


def ask_functions(
    turn: Turn,
    tool: AlembicTool,
    split: ColumnSplit,
    facts: Mapping[str, Any],
    examples: Sequence[Example],
    literals: Sequence[str],
) -> Generator[Event, None, Functions | None]:
    """The functions that keep all values; None without any.

    The model writes the one that splits, the harness finds the one that joins. Most replies win.

    `examples` of the user decide first. `literals` are texts whose parts the verdict shows.
    """
    mistakes: list[str] = []
    probes = list(dict.fromkeys([*facts["samples"], *(v for v, _ in examples), *literals]))
    given: dict[str, Any] = {
        "table": split.column.table,
        "column": split.column.name,
        "parts": split.parts,
    }
    given |= {"split": split.split_name, "join": split.join_name, "probes": probes}
    for number in range(MIGRATION.rounds):
        yield Step("propose", f"writing {split.split_name}")
        prompt = function_prompt(
            turn.services.prompts, turn.prompt, split, facts["samples"], mistakes
        )
        start = _start(split, examples)
        codes = yield from _codes(turn, split, prompt, start, number * MIGRATION.samples)
        if number == MIGRATION.rounds - 1:  # all earlier replies failed
            codes += codes_of_examples(split, examples)
        verdicts = tool.ask("pairs", codes=codes, **given)["pairs"] if codes else []
        groups: Counter[str] = Counter()
        good: dict[str, Functions] = {}
        mistakes = []
        for code, verdict in zip(codes, verdicts, strict=True):
            candidate = turn.ledger.next("candidate")
            yield CandidateProposed(candidate, 0, "migration", [split.column.path])
            if fault := _fault(verdict, facts, examples):
                yield CandidateRejected(candidate, fault)
                mistakes += [fault] if fault not in mistakes else []
                continue
            code = f"{code}\n\n{verdict['join']}"
            key = str([verdict["split"][probe] for probe in facts["samples"]])
            groups[key] += 1
            best = good.setdefault(key, Functions(code, verdict))
            if verdict["odd"] < best.verdict["odd"]:
                good[key] = Functions(code, verdict)
        if groups:
            return good[groups.most_common(1)[0][0]]
    return None


def _codes(
    turn: Turn, split: ColumnSplit, prompt: str, start: str, first: int
) -> Generator[Event, None, list[str]]:
    """The codes of a round's replies that go on from `start`, each once, in the order asked."""
    request = code_request(turn, prompt, start, MIGRATION.function_tokens)
    codes: dict[int, str] = {}
    faults: list[str] = []

    def keep(place: int, reply: Reply) -> Generator[Event, None, bool]:
        yield from ()
        try:
            codes[place] = definitions(start + reply.text, split)
        except EditError as error:
            faults.append(error.message)
        return False

    requests = [sample_request(turn, first + n, request) for n in range(MIGRATION.samples)]
    yield from ask_all(turn, "migration", requests, keep)
    for fault in faults:
        yield CandidateRejected(turn.ledger.next("candidate"), fault)
    return list(dict.fromkeys(codes[place] for place in sorted(codes)))


def code_request(turn: Turn, prompt: str, start: str, tokens: int) -> Request:
    """A request for at most `tokens` of Python code, which continues `start`."""
    system = turn.services.prompts.text("workflow/system")
    return Request(
        (Message("system", system), Message("user", prompt)),
        max_tokens=tokens,
        stop=("\n```",),
        reply_start=f"```python\n{start}",
    )


def codes_of_examples(split: ColumnSplit, examples: Sequence[Example]) -> list[str]:
    """Functions that split at what stands between an example's two parts: first, or last, place."""
    codes = []
    for value, (first, *rest) in examples[:1]:
        between = value.removeprefix(first).removesuffix(rest[-1])
        if len(rest) != 1 or value != first + between + rest[0] or not between:
            continue
        for method in ("partition", "rpartition"):
            codes.append(
                f"def {split.split_name}(value: str):\n"
                f"    first, _, last = value.{method}({json.dumps(between)})\n"
                '    return (first, last) if first else (last, "")\n'
            )
    return codes


def _start(split: ColumnSplit, examples: Sequence[Example]) -> str:
    """The start of the function; a small model keeps to examples in its docstring."""
    lines = [f"def {split.split_name}(value: str):"]
    lines += [f'    """Return the tuple ({", ".join(split.parts)}) of a value.']
    for value, parts in examples:
        lines += ["", f"    >>> {split.split_name}({value!r})", f"    {parts!r}"]
    return "\n".join(lines) + ('\n    """\n' if examples else '"""\n')


def _fault(
    verdict: Mapping[str, Any], facts: Mapping[str, Any], examples: Sequence[Example]
) -> str:
    """Why a pair of functions is refused, for the next prompt; "" if it is good."""
    if verdict["error"]:
        return str(verdict["error"])
    for value, parts in examples:
        given = verdict["split"].get(value)
        if given is None or tuple(given) != parts:
            instead = "" if given is None else f", not {tuple(given)!r}"
            return f"{value!r} has to become {parts!r}{instead}"
    if verdict["odd"] > MIGRATION.odd_share * facts["distinct"] or verdict["lost"]:
        return str(verdict["fault"])
    if verdict["empty"]:
        return f"{verdict['empty'][0]} is empty for every value"
    return ""


def function_prompt(
    prompts: Prompts, task: str, split: ColumnSplit, samples: Sequence[str], mistakes: Sequence[str]
) -> str:
    """The question for the function that splits a value."""
    return prompts.render(
        "migration/function",
        task=task.strip(),
        column=split.column.name,
        table=split.column.table,
        parts=" and ".join(f"`{part}`" for part in split.parts),
        names=", ".join(split.parts),
        values="\n".join(f"- {value!r}" for value in samples),
        split=split.split_name,
        mistakes=mistakes_text(prompts, mistakes),
    )


def query_prompt(
    prompts: Prompts, task: str, split: ColumnSplit, text: str, code: str, mistakes: Sequence[str]
) -> str:
    """The question for a function whose query uses the old column; `text` has the new class."""
    owner = split.column.class_name
    return prompts.render(
        "migration/query",
        task=task.strip(),
        path=split.column.path,
        split=split.split_name,
        names=", ".join(split.parts),
        function=code.strip(),
        owner=owner,
        column=split.column.name,
        columns=" and ".join(f"`{owner}.{part}`" for part in split.parts),
        mistakes=mistakes_text(prompts, mistakes),
        **{"class": source_of(text, owner)},
    )


def mistakes_text(prompts: Prompts, mistakes: Sequence[str]) -> str:
    """The faults of earlier replies as a list for a prompt; "" without any."""
    if not mistakes:
        return ""
    listed = "\n".join(f"- {mistake}" for mistake in mistakes[: MIGRATION.mistakes])
    return prompts.render("migration/mistakes", mistakes=listed)


def definitions(code: str, split: ColumnSplit) -> str:
    """The imports and functions of a reply, but the one that joins, which the harness writes.

    Raises EditError if the function that splits is missing.
    """
    tree = parse(code.partition("\n```")[0])
    kept = [
        "\n".join(tree.lines[node.lineno - 1 : node.end_lineno])
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        or (isinstance(node, ast.FunctionDef) and node.name != split.join_name)
    ]
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    if split.split_name not in defined:
        raise EditError(f"the reply does not define {split.split_name}")
    return "\n\n\n".join(kept) + "\n"


def source_of(text: str, name: str) -> str:
    """The lines of a definition of a file, without indentation. Raises EditError."""
    file = parse(text, "the file")
    found = find_definition(list(walk_definitions(file.body)), name)
    return textwrap.dedent("\n".join(file.lines[found.start : found.end]))

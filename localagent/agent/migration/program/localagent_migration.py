"""Questions about a project's migrations, answered in the project's own Python with its Alembic.

    python localagent_migration.py facts|pairs|operations|check

The environment variable LOCALAGENT_MIGRATION holds the arguments as JSON. The last line of the
output is LOCALAGENT-MIGRATION and the answer as JSON; {"error": "…"} is an answer, too. The program
works on the database that the project's env.py opens, so it runs only in a snapshot.
"""

import json
import os
import re
import shutil
import sqlite3
import sys
from collections import Counter
from typing import Any, Callable, Dict, List

from alembic import autogenerate, command
from alembic.config import Config
from alembic.operations import ops
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

MARK = "LOCALAGENT-MIGRATION "
SAMPLES = 8


class Unsuitable(Exception):
    """The project's database is none that the harness can copy and compare."""


def main(job: str, given: Dict[str, Any]) -> Dict[str, Any]:
    sys.path[0] = os.getcwd()
    config = Config(given["config"])
    script = ScriptDirectory.from_config(config)
    jobs = {"facts": facts, "pairs": pairs, "operations": operations, "check": check}
    try:
        return jobs[job](config, script, given)
    except Exception as error:  # noqa: BLE001  # whatever the project's code raises is an answer
        text = str(error).strip().splitlines() or [""]
        return {"error": "{}: {}".format(type(error).__name__, text[0])}


def with_context(
    config: Config, script: ScriptDirectory, ask: Callable[[MigrationContext, Any], Any]
) -> Any:
    """What `ask` answers about the context and the metadata that the project's env.py makes."""
    answers: List[Any] = []

    def run(_revision: Any, context: MigrationContext) -> List[Any]:
        metadata = context.opts.get("target_metadata")
        answers.append(ask(context, metadata))
        return []

    with EnvironmentContext(config, script, fn=run, dont_mutate=True):
        script.run_env()
    return answers[0]


def database(config: Config, script: ScriptDirectory) -> str:
    """The path of the SQLite file. Raises Unsuitable for another database."""

    def ask(context: MigrationContext, _metadata: Any) -> str:
        url = context.connection.engine.url  # type: ignore[union-attr]
        name = url.database or ""
        if url.get_backend_name() != "sqlite" or not name or name == ":memory:":
            raise Unsuitable("the database is no SQLite file: " + url.get_backend_name())
        return os.path.abspath(name)

    path = str(with_context(config, script, ask))
    if os.path.relpath(path).startswith(".."):
        raise Unsuitable("the database is outside of the project")
    return path


def drift(config: Config, script: ScriptDirectory) -> List[str]:
    """How the models differ from the database, as Alembic describes it."""

    def ask(context: MigrationContext, metadata: Any) -> List[str]:
        differences = autogenerate.compare_metadata(context, metadata) if metadata else []
        return [str(each)[:200] for each in differences]

    found = with_context(config, script, ask)
    return list(found)


def values_of(path: str, table: str, column: str) -> Dict[str, int]:
    """The distinct values of a column that are not NULL, each with its number of rows."""
    with sqlite3.connect(path) as db:
        query = "SELECT {0}, count(*) FROM {1} WHERE {0} IS NOT NULL GROUP BY {0}"
        return dict(db.execute(query.format(quoted(column), quoted(table))))


def facts(config: Config, script: ScriptDirectory, given: Dict[str, Any]) -> Dict[str, Any]:
    """What is known about the column, with the database at its newest revision."""
    path = database(config, script)
    command.upgrade(config, "head")
    table, column = given["table"], given["column"]
    with sqlite3.connect(path) as db:
        columns = {row[1]: row for row in db.execute("PRAGMA table_info(%s)" % quoted(table))}
        if column not in columns:
            raise Unsuitable("the table {} has no column {}".format(table, column))
        unique = False
        for index in list(db.execute("PRAGMA index_list(%s)" % quoted(table))):
            parts = [row[2] for row in db.execute("PRAGMA index_info(%s)" % quoted(index[1]))]
            if column in parts and (index[2] or len(parts) > 1):
                unique = True
        foreign = [row[3] for row in db.execute("PRAGMA foreign_key_list(%s)" % quoted(table))]
        rows = db.execute("SELECT count(*) FROM " + quoted(table)).fetchone()[0]
    values = values_of(path, table, column)
    if not all(isinstance(value, str) for value in values):
        raise Unsuitable("the column {} holds values that are no text".format(column))
    shapes: Dict[str, List[str]] = {}
    for value in values:
        shapes.setdefault(shape(value), []).append(value)
    common = sorted(shapes.values(), key=lambda group: -sum(values[v] for v in group))
    return {
        "head": script.get_current_head(),
        "rows": rows,
        "distinct": len(values),
        "nullable": not columns[column][3],
        "keys": [row[1] for row in sorted(columns.values(), key=lambda r: r[5]) if row[5]],
        "tied": unique or column in foreign or bool(columns[column][5]),
        "samples": [group[0] for group in common[:SAMPLES]],
        "drift": drift(config, script),
    }


def shape(value: str) -> str:
    """The value with each word as "a" and each number as "0"."""
    return re.sub(r"[^\W\d]+", "a", re.sub(r"\d+", "0", value))


def pairs(config: Config, script: ScriptDirectory, given: Dict[str, Any]) -> Dict[str, Any]:
    """How each pair of functions splits and joins the values of the column and the examples."""
    path = database(config, script)
    command.upgrade(config, "head")
    values = values_of(path, given["table"], given["column"])
    return {"pairs": [judge(code, values, given) for code in given["codes"]]}


def judge(code: str, values: Dict[str, int], given: Dict[str, Any]) -> Dict[str, Any]:
    """The faults of a function that splits, and the code of the function that joins again.

    `split` has the parts of `probes`, in their order; None where the function fails.
    """
    count = len(given["parts"])
    verdict: Dict[str, Any] = {"error": "", "fault": "", "odd": 0, "odd_rows": 0, "lost": ""}
    verdict.update({"odd_values": [], "empty": [], "split": {}, "join": ""})
    names: Dict[str, Any] = {}
    try:
        exec(code, names)
        split = names[given["split"]]
    except Exception as error:  # noqa: BLE001  # a model wrote the code
        return {**verdict, "error": "{}: {}".format(type(error).__name__, error)}

    def parts_of(value: str) -> List[str]:
        parts = list(split(value))
        if len(parts) != count or not all(isinstance(part, str) for part in parts):
            raise ValueError("it gives {!r}".format(parts))
        return parts

    splits: Dict[str, List[str]] = {}
    faults: Dict[str, str] = {}
    for value in [*values, *given["probes"]]:
        try:
            splits[value] = parts_of(value)
        except Exception as error:  # noqa: BLE001
            faults[value] = "{!r} raises {}: {}".format(value, type(error).__name__, error)
    verdict["join"] = join_code(given["join"], given["parts"], separators(splits, values, count))
    exec(verdict["join"], names)
    join = names[given["join"]]
    for value, parts in splits.items():
        if join(*parts) != value:
            text = "{!r} becomes {!r}, which joins to {!r}"
            faults[value] = text.format(value, tuple(parts), join(*parts))
    common = Counter(shape(value) for value in values)
    for value in sorted(values, key=lambda each: -common[shape(each)]):
        if value in faults:
            if value not in splits:  # the upgrade would stop there
                verdict["error"] = verdict["error"] or faults[value]
            verdict["fault"] = verdict["fault"] or faults[value]
            verdict["odd"] += 1
            verdict["odd_rows"] += values[value]
            verdict["odd_values"] += [value] if len(verdict["odd_values"]) < 5 else []
            if join(value, *[""] * (count - 1)) != value:
                verdict["lost"] = verdict["lost"] or value
    if values:
        filled = [any(splits[v][n] for v in values if v in splits) for n in range(count)]
        verdict["empty"] = [n for n, full in zip(given["parts"], filled, strict=True) if not full]
    verdict["split"] = {v: None if v in faults else splits[v] for v in given["probes"]}
    return verdict


def separators(splits: Dict[str, List[str]], values: Dict[str, int], count: int) -> List[str]:
    """The texts that most often stand between the parts of a value; a space without any value."""
    found: Counter[Any] = Counter()
    for value, parts in splits.items():
        at, between = len(parts[0]), []
        for part in parts[1:]:
            place = value.find(part, at)
            between.append(value[at:place])
            at = place + len(part)
        if all(parts) and value.startswith(parts[0]) and at == len(value):
            found[tuple(between)] += values.get(value, 1)
    return list(found.most_common(1)[0][0]) if found else [" "] * (count - 1)


def join_code(name: str, parts: List[str], between: List[str]) -> str:
    """A function that joins parts with what stands between them; an empty part adds nothing."""
    head = "def {}({}):\n".format(name, ", ".join(parts))
    if len(set(between)) == 1:
        line = "    return {}.join(part for part in ({}) if part)\n"
        return head + line.format(json.dumps(between[0]), ", ".join(parts))
    lines = ["    value = " + parts[0]]
    for separator, part in zip(between, parts[1:], strict=True):
        lines += ["    if {}:".format(part), "        value += {!r} + {}".format(separator, part)]
    return head + "\n".join([*lines, "    return value"]) + "\n"


def operations(config: Config, script: ScriptDirectory, given: Dict[str, Any]) -> Dict[str, Any]:
    """Alembic's own operations from the database to the models, as code in four parts."""
    database(config, script)
    command.upgrade(config, given["head"])
    table = given["table"]

    def ask(context: MigrationContext, metadata: Any) -> Dict[str, Any]:
        found = autogenerate.produce_migrations(context, metadata).upgrade_ops
        assert found is not None
        tables = [o for o in found.ops if isinstance(o, ops.ModifyTableOps)]
        up = [each for o in tables if o.table_name == table for each in o.ops]
        down = [each.reverse() for each in reversed(up)]
        parts = {}
        for name, steps in (("up", up), ("down", down)):
            added = [o for o in steps if isinstance(o, ops.AddColumnOp)]
            later: List[Any] = [o for o in steps if isinstance(o, ops.DropIndexOp)]
            for step in added:
                if not step.column.nullable:
                    kind = step.column.type
                    later.append(
                        ops.AlterColumnOp(
                            table, step.column.name, existing_type=kind, modify_nullable=False
                        )
                    )
                    step.column.nullable = True
            later += [o for o in steps if isinstance(o, ops.DropColumnOp)]
            later += [o for o in steps if o not in added and o not in later]
            parts[name + "_first"] = render(table, added)
            parts[name + "_last"] = render(table, later)
        return parts

    return dict(with_context(config, script, ask))


def render(table: str, steps: List[Any]) -> str:
    """The code of operations on one table. SQLite changes columns only in a batch."""
    operations_on = ops.UpgradeOps([ops.ModifyTableOps(table, steps)])
    code = autogenerate.render_python_code(operations_on, render_as_batch=True)
    return re.sub(r"\n? *# ###.*", "", code).strip("\n")


def check(config: Config, script: ScriptDirectory, given: Dict[str, Any]) -> Dict[str, Any]:
    """Upgrade, downgrade and upgrade again; "fault" says what differs, or is ""."""
    path = database(config, script)
    head = given["head"]
    command.upgrade(config, head)
    before = [shutil.copyfile(path, path + ".before")]
    step = "upgrade"
    try:
        command.upgrade(config, given["revision"])
        up = shutil.copyfile(path, path + ".up")
        fault = differences(before[0], path, given["table"], schema=False)
        if not fault and given["clean"]:
            fault = "; ".join(drift(config, script)[:1])
            fault = fault and "the models and the migration disagree: " + fault
        if not fault:
            step = "downgrade"
            command.downgrade(config, head)
            fault = differences(before[0], path, "", schema=True)
        if not fault:
            step = "second upgrade"
            command.upgrade(config, given["revision"])
            fault = differences(up, path, "", schema=True)
    except Exception as error:  # noqa: BLE001
        fault = "{}: {}".format(type(error).__name__, (str(error).splitlines() or [""])[0])
    return {"fault": fault and "{}: {}".format(step, fault)}


def differences(old: str, new: str, changed: str, schema: bool) -> str:
    """The first difference of two databases' rows. In `changed`, only common columns count.

    With `schema`, all tables must have the same columns and indexes.
    """
    with sqlite3.connect(new) as db:
        db.execute("ATTACH ? AS old", (old,))

        def columns(side: str, table: str) -> List[Any]:
            rows = db.execute("PRAGMA {}.table_info({})".format(side, quoted(table)))
            return [(row[1], row[2], row[3]) for row in rows]

        def indexes(side: str, table: str) -> List[Any]:
            rows = db.execute("PRAGMA {}.index_list({})".format(side, quoted(table)))
            return sorted(row[1:4] for row in rows)

        query = (
            "SELECT name FROM {}.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        )
        tables = {side: {r[0] for r in db.execute(query.format(side))} for side in ("main", "old")}
        if tables["main"] != tables["old"]:
            return "the tables differ: {}".format(sorted(tables["main"] ^ tables["old"]))
        for table in sorted(tables["main"] - {"alembic_version"}):
            sides = [columns("main", table), columns("old", table)]
            if schema and sorted(sides[0]) != sorted(sides[1]):
                return "the columns of {} differ: {} instead of {}".format(table, *sides)
            if schema and indexes("main", table) != indexes("old", table):
                return "the indexes of {} differ".format(table)
            if not schema and table != changed and sides[0] != sides[1]:
                return "the columns of {} changed".format(table)
            common = [name for name, _, _ in sides[1] if name in {c[0] for c in sides[0]}]
            names = ", ".join(map(quoted, common))
            counts = [
                db.execute("SELECT count(*) FROM {}.{}".format(s, quoted(table))).fetchone()[0]
                for s in ("old", "main")
            ]
            if counts[0] != counts[1]:
                return "{} has {} rows instead of {}".format(table, counts[1], counts[0])
            rows = "SELECT {} FROM {}.{}"
            both = (rows.format(names, s, quoted(table)) for s in ("old", "main"))
            lost = db.execute(" EXCEPT ".join(both) + " LIMIT 1").fetchone()
            if lost is not None:
                return "a row of {} is not kept: {!r}".format(table, lost)
    return ""


def quoted(name: str) -> str:
    """A name in SQL."""
    return '"{}"'.format(name.replace('"', '""'))


if __name__ == "__main__":
    result = main(sys.argv[1], json.loads(os.environ["LOCALAGENT_MIGRATION"]))
    print("\n" + MARK + json.dumps(result), flush=True)

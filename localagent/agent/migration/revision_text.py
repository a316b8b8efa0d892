"""The text of a revision that splits a column: Alembic's operations around the data's move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from localagent.agent.migration.model_classes import ColumnSplit
from localagent.edits.python_edits import add_definitions, replace_function


def revision_text(
    skeleton: str,
    split: ColumnSplit,
    functions: str,
    operations: Mapping[str, str],
    keys: Sequence[str],
) -> str:
    """The skeleton with `functions`, and with `upgrade` and `downgrade` written.

    `operations` are Alembic's, before and after the data moves in each direction. `keys` are the
    columns of the primary key. Raises EditError.
    """
    column, parts = split.column.name, split.parts
    names = ", ".join(parts)
    upgrade = [
        *_rows(split, keys, [column], "value"),
        f"        {names} = {split.split_name}(value)",
        f"        if {split.join_name}({names}) != value:  # such a value stays whole",
        f"            {names} = value" + ', ""' * (len(parts) - 1),
        *_update(keys, [f"{part}={part}" for part in parts]),
    ]
    downgrade = [
        *_rows(split, keys, parts, names),
        *_update(keys, [f"{column}={split.join_name}({names})"]),
    ]
    text = skeleton
    for name, prefix, move in (("upgrade", "up", upgrade), ("downgrade", "down", downgrade)):
        lines = [f"def {name}() -> None:", operations[f"{prefix}_first"], *move]
        code = "\n".join([*lines, operations[f"{prefix}_last"]])
        text = replace_function(text, name, f"{code}\n")
    return add_definitions(text, functions)


def _rows(split: ColumnSplit, keys: Sequence[str], read: Sequence[str], targets: str) -> list[str]:
    """Lines that go over the rows whose first `read` column is not NULL."""
    columns = dict.fromkeys([*keys, split.column.name, *split.parts])
    names = ", ".join(f'"{name}"' for name in columns)
    selected = ", ".join(f"table.c.{name}" for name in [*keys, *read])
    variables = ", ".join(_variables(keys))
    return [
        f'    table = sa.table("{split.column.table}", *map(sa.column, [{names}]))',
        "    connection = op.get_bind()",
        f"    query = sa.select({selected})",
        f"    query = query.where(table.c.{read[0]}.is_not(None))",
        f"    for {variables}, {targets} in connection.execute(query).all():",
    ]


def _update(keys: Sequence[str], values: Sequence[str]) -> list[str]:
    """Lines that write the values of one row."""
    pairs = zip(keys, _variables(keys), strict=True)
    where = ", ".join(f"table.c.{key} == {variable}" for key, variable in pairs)
    return [
        f"        row = table.update().where({where})",
        f"        connection.execute(row.values({', '.join(values)}))",
    ]


def _variables(keys: Sequence[str]) -> list[str]:
    return ["key"] if len(keys) == 1 else [f"key_{n}" for n in range(len(keys))]

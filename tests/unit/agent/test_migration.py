"""Requests for splits, mapped classes, and the texts of harness and model."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from localagent.agent.migration.model_classes import (
    ColumnSplit,
    MappedColumn,
    columns_of,
    module_of,
    queries_of,
    split_class,
    with_import,
)
from localagent.agent.migration.questions import (
    codes_of_examples,
    definitions,
    function_prompt,
    query_prompt,
)
from localagent.agent.migration.revision_text import revision_text
from localagent.agent.migration.split_column import find_split
from localagent.agent.migration.split_request import examples_of, new_names, requested_splits
from localagent.context.prompts import Prompts
from localagent.core.errors import EditError
from localagent.core.events import Warned
from tests.doubles.scripted_turn import run_events, scripted_turn

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "prompts"
MODELS = """\
from sqlalchemy import Column, String
from sqlalchemy.orm import Mapped, mapped_column


class Member(Base):
    __tablename__ = "members"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(
        "name", String(120), index=True
    )


class Shop(Base):
    __tablename__ = "shops"

    id = Column(Integer, primary_key=True)
    name = Column(String(80))
    address = Column(String(80))
    staff: Mapped[list["Member"]] = relationship()
"""
SPLIT = ColumnSplit(
    MappedColumn("club/models.py", "Member", "members", "name"), ("first_name", "last_name")
)
FUNCTIONS = """\
def split_name(value: str):
    first_name, _, last_name = value.rpartition(" ")
    return first_name, last_name


def join_name(first_name, last_name):
    return f"{first_name} {last_name}"
"""


@pytest.mark.parametrize(
    ("request_text", "names"),
    [
        ("Split the column name into first_name and last_name.", ("first_name", "last_name")),
        ("split `address` into the columns `street`, `zip` and `city`", ("street", "zip", "city")),
        ("Split shops.address in two columns: street and city", ("street", "city")),
        ("Split address into street and city, at the comma", ("street", "city")),
        ("Split address into street, zip, and city, at commas", ("street", "zip", "city")),
        ("Split address into street, city", ("street", "city")),
        ("Split the function parse into smaller ones", ()),
        ("Split the file in two", ()),
    ],
)
def test_names_of_new_columns(request_text: str, names: tuple[str, ...]) -> None:
    assert new_names(request_text) == names


@pytest.mark.parametrize(
    ("request_text", "found"),
    [
        ("Split the column name of members into a and b", ["Member.name"]),
        ("Split Shop.name into a and b", ["Shop.name"]),
        ("Split the column name into a and b", ["Member.name", "Shop.name"]),
        ("Split address into street and city", ["Shop.address"]),
        ("Split the column address of shops into address and city", []),
        ("Split the address of members into name and city", []),
        ("Split the column email into user and host", []),
    ],
)
def test_the_column_of_a_request(request_text: str, found: list[str]) -> None:
    columns = columns_of({"club/models.py": MODELS})
    splits = requested_splits(request_text, columns)
    assert [f"{s.column.class_name}.{s.column.name}" for s in splits] == found


def test_examples_in_quotes() -> None:
    text = 'The last word counts: "Mary Ann Hale" is "Mary Ann" and "Hale"; "x" is a sign.'
    assert examples_of(text, 2) == [("Mary Ann Hale", ("Mary Ann", "Hale"))]


def test_a_class_keeps_the_old_name_as_a_property() -> None:
    text = split_class(MODELS, SPLIT, FUNCTIONS, nullable=False)
    assert text.count("index=True") == 2
    assert '    first_name: Mapped[str] = mapped_column(\n        "first_name", String' in text
    assert "        return join_name(self.first_name, self.last_name)\n" in text
    assert "self.first_name, self.last_name = split_name(value)" in text
    assert [c.name for c in columns_of({"m.py": text}) if c.table == "members"] == [
        *("id", "first_name", "last_name")
    ]
    nullable = split_class(MODELS, SPLIT, FUNCTIONS, nullable=True)
    assert "if None in (self.first_name, self.last_name):" in nullable
    assert "(None, None) if value is None else split_name(value)" in nullable


def test_queries_and_imports() -> None:
    text = (
        "from club.models import Member\n\n\n"
        "def find(name):\n    first, last = split_name(name)\n    return Member.name == name\n\n\n"
        "def badge(member):\n    return member.name\n\n\n"
        "class Book:\n    def first(self):\n        return models.Member.name.asc()\n\n\n"
        "class Member:\n    def all(cls):\n        return cls.name\n"
    )
    assert queries_of(text, "Member", "name") == ["find", "Book.first", "Member.all"]
    new = with_import(text, SPLIT)
    assert new.splitlines()[0] == "from club.models import Member, split_name"
    new = with_import("from club import models as m\n\nprint(split_name(x))\n", SPLIT)
    assert new == "from club import models as m\n\nprint(m.split_name(x))\n"
    assert module_of("src/club/models.py") == "club.models"
    assert module_of("club/models/__init__.py") == "club.models"


def test_functions_of_a_reply() -> None:
    code = f"import re\n{FUNCTIONS}\nprint(split_name('a b'))\n```\nThis splits."
    assert definitions(code, SPLIT) == "import re\n\n\n" + FUNCTIONS.partition("\n\n\n")[0] + "\n"
    with pytest.raises(EditError, match="does not define split_name"):
        definitions("def split(value): ...", SPLIT)


def test_functions_from_an_example() -> None:
    codes = codes_of_examples(SPLIT, [("Mary Ann Hale", ("Mary Ann", "Hale"))])
    found = []
    for code in codes:
        names: dict[str, object] = {}
        exec(code, names)
        split = names["split_name"]
        assert callable(split)
        found.append([split("Mary Ann Hale"), split("Cher")])
    assert found == [
        [("Mary", "Ann Hale"), ("Cher", "")],
        [("Mary Ann", "Hale"), ("Cher", "")],
    ]
    assert codes_of_examples(SPLIT, [("a-b", ("b", "a"))]) == []
    assert codes_of_examples(SPLIT, []) == []


def test_a_revision_moves_the_data_between_alembics_operations() -> None:
    skeleton = "import sqlalchemy as sa\nfrom alembic import op\n\n\n"
    skeleton += "def upgrade() -> None:\n    pass\n\n\ndef downgrade() -> None:\n    pass\n"
    operations = {f"{way}_{place}": f"    op.{way}_{place}()" for way in ("up", "down")
                  for place in ("first", "last")}  # fmt: skip
    text = revision_text(skeleton, SPLIT, FUNCTIONS, operations, ["id"])
    order = [
        "op.up_first()",
        "split_name(value)",
        "op.up_last()",
        "op.down_first()",
        "op.down_last",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    assert '            first_name, last_name = value, ""\n' in text
    compile(text, "revision.py", "exec")


def test_golden_prompts() -> None:
    task = "Split the column name of members into first_name and last_name."
    mistakes = ["'Ada Berg' has to become ('Ada', 'Berg'), not ('Berg', 'Ada')"]
    samples = ["Ada Berg", "Cher"]
    new = split_class(MODELS, SPLIT, FUNCTIONS, nullable=False)
    code = "def find(name):\n    return Member.name == name\n"
    for name, text in (
        ("migration-function", function_prompt(Prompts(), task, SPLIT, samples, mistakes)),
        ("migration-query", query_prompt(Prompts(), task, SPLIT, new, code, [])),
        ("migration-column", Prompts().render("migration/column", task=task, columns="A.b\nC.d")),
    ):
        path = GOLDEN / f"{name}.txt"
        if os.environ.get("LOCALAGENT_UPDATE_GOLDEN"):
            path.write_text(f"{text}\n")
        assert f"{text}\n" == path.read_text(), name


@pytest.mark.parametrize(
    ("task", "table", "warns"),
    [
        ("Split the column name of members into first_name and last_name", "members", False),
        ("Split the column email of members into user and host", None, True),
        ("Add a column phone to members", None, False),
    ],
)
def test_a_request_that_is_no_split_is_left_to_the_search(
    tmp_path: Path, task: str, table: str | None, warns: bool
) -> None:
    (tmp_path / "alembic.ini").write_text("[alembic]\n")
    (tmp_path / "models.py").write_text(MODELS)
    events, found = run_events(find_split(scripted_turn(tmp_path, task)))
    assert (found[0].column.table if found else None) == table
    assert [isinstance(event, Warned) for event in events] == [True] * warns

import datetime

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from members import register
from members.models import Base

DAY = datetime.date(2020, 5, 1)


@pytest.fixture
def session():
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        yield session


def test_a_new_member_has_a_badge(session):
    member = register.join(session, "Ada Abbot", "ada@example.org", DAY)
    assert register.badge(member) == "Ada Abbot, member since 2020"


def test_a_member_is_found_by_name(session):
    ada = register.join(session, "Ada Abbot", "ada@example.org", DAY)
    register.join(session, "Ada Berg", "berg@example.org", DAY)
    assert register.find(session, "Ada Abbot") == [ada]
    assert register.find(session, "Cher") == []


def test_a_name_of_one_word_is_found(session):
    cher = register.join(session, "Cher", "cher@example.org", DAY)
    assert register.find(session, "Cher") == [cher]


def test_the_roster_is_in_order(session):
    for number, name in enumerate(("Mary Ann Hale", "Bo Grant", "Ada Dunn")):
        register.join(session, name, f"m{number}@example.org", DAY)
    assert register.roster(session) == ["Ada Dunn", "Bo Grant", "Mary Ann Hale"]

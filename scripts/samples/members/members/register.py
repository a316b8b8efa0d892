"""The questions that the club asks."""

import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from members.models import Member


def join(session: Session, name: str, email: str, day: datetime.date) -> Member:
    """Add a member."""
    member = Member(name=name, email=email, joined=day)
    session.add(member)
    session.flush()
    return member


def find(session: Session, name: str) -> list[Member]:
    """The members of this name, the oldest first."""
    query = select(Member).where(Member.name == name).order_by(Member.joined)
    return list(session.scalars(query))


def roster(session: Session) -> list[str]:
    """The names of all members in order."""
    query = select(Member).order_by(Member.name)
    return [member.name for member in session.scalars(query)]


def badge(member: Member) -> str:
    """The text of a member's badge."""
    return f"{member.name}, member since {member.joined.year}"

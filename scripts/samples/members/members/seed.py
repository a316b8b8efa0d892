"""Fill the database with made-up members: `python -m members.seed COUNT`."""

import datetime
import random
import sys

from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from members.models import Member

FIRST = ("Ada", "Bo", "Chidi", "Dana", "Emeka", "Fumi", "Gil", "Hana", "Juan Carlos", "Mary Ann")
LAST = ("Abbot", "Berg", "Castillo", "Dunn", "Eze", "Fischer", "Grant", "Hale", "O'Neil", "Park")
ODD = ("Cher", "Zed", "Ann  Lee", "Max Berg ", "李明")


def fill(count: int, seed: int = 7) -> None:
    chance = random.Random(seed)
    day = datetime.date(2015, 1, 1)
    names = [f"{chance.choice(FIRST)} {chance.choice(LAST)}" for _ in range(count - len(ODD))]
    names += ODD
    chance.shuffle(names)
    with Session(create_engine("sqlite:///members.db")) as session:
        for number, name in enumerate(names):
            joined = day + datetime.timedelta(days=chance.randrange(4000))
            session.add(Member(name=name, email=f"m{number}@example.org", joined=joined))
        session.commit()


if __name__ == "__main__":
    fill(int(sys.argv[1]))

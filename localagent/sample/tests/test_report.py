from datetime import date
from decimal import Decimal

from timesheet.parse import parse
from timesheet.report import clock, invoice, since, table, totals

SHEET = """
2024-03-04   09:00 12:30        garden    hedge along the road
2024-03-04   13:00 17:15 -15m   garden
2024-03-05   08:05 09:00        office    letters
"""
NIGHT = "2024-03-05   22:00 02:30        bakery    night shift\n"


def test_hours_of_each_project():
    assert totals(parse(SHEET)) == {"garden": 450, "office": 55}


def test_hours_of_each_day():
    assert totals(parse(SHEET), by="day") == {"2024-03-04": 450, "2024-03-05": 55}


def test_since_a_day():
    works = since(parse(SHEET), date(2024, 3, 5))
    assert [work.project for work in works] == ["office"]


def test_minutes_as_a_clock():
    assert clock(270) == "4:30"
    assert clock(5) == "0:05"


def test_table():
    assert table({"garden": 450, "office": 55}).splitlines() == [
        "garden     7:30",
        "office     0:55",
        "total      8:25",
    ]


def test_invoice_rounds_each_piece_of_work_up():
    assert invoice(parse(SHEET), "office", Decimal("48.50")) == Decimal("48.50")
    assert invoice(parse(SHEET), "garden", Decimal("40")) == Decimal("300.00")


def test_invoice_of_a_night_shift():
    assert invoice(parse(NIGHT), "bakery", Decimal("30")) == Decimal("135.00")

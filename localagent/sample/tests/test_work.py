from datetime import date, time

from timesheet.work import Work

DAY = date(2024, 3, 5)


def test_minutes_are_those_worked():
    assert Work(DAY, time(9, 0), time(12, 30), "garden").minutes == 210


def test_a_pause_is_taken_off():
    assert Work(DAY, time(13, 0), time(17, 15), "garden", pause=15).minutes == 240


def test_work_may_end_after_midnight():
    assert Work(DAY, time(22, 0), time(2, 30), "bakery").minutes == 270


def test_billable_minutes_are_whole_quarters():
    assert Work(DAY, time(8, 5), time(9, 0), "office").billable_minutes == 60
    assert Work(DAY, time(8, 0), time(9, 0), "office").billable_minutes == 60

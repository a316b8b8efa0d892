from datetime import date, time

import pytest
from timesheet.parse import BadLine, parse, parse_line


def test_a_line_with_everything():
    work = parse_line("2024-03-04   13:00 17:15 -15m   garden  pruning, raking")
    assert work.day == date(2024, 3, 4)
    assert (work.start, work.end) == (time(13, 0), time(17, 15))
    assert work.pause == 15
    assert work.project == "garden"
    assert work.note == "pruning, raking"


def test_pause_and_note_may_be_left_out():
    work = parse_line("2024-03-04 09:00 12:30 garden")
    assert work.pause == 0
    assert work.note == ""


def test_comments_and_empty_lines_are_skipped():
    text = "# March\n\n2024-03-04 09:00 12:30 garden\n   # more\n"
    assert [work.project for work in parse(text)] == ["garden"]


@pytest.mark.parametrize(
    "line", ["garden", "2024-03-04 9 12 garden", "2024-13-04 09:00 12:30 garden"]
)
def test_a_bad_line_is_named(line):
    with pytest.raises(BadLine, match="line 2"):
        parse(f"# March\n{line}\n")

from timesheet.__main__ import main


def test_report(tmp_path, capsys):
    file = tmp_path / "hours.txt"
    file.write_text("2024-03-04 09:00 12:30 garden\n2024-03-05 09:00 10:00 office\n")
    assert main(["report", str(file), "--from", "2024-03-05"]) == 0
    assert capsys.readouterr().out == "office     1:00\ntotal      1:00\n"


def test_a_bad_line_is_an_error(tmp_path, capsys):
    file = tmp_path / "hours.txt"
    file.write_text("garden\n")
    assert main(["report", str(file)]) == 2
    assert "line 1" in capsys.readouterr().err

"""What doctor and selftest say of a kind that does not hold everything."""

from __future__ import annotations

from localagent.cli.selftest import _examined, _tested
from localagent.doctor.airgap import canaries
from localagent.doctor.report import DoctorProblem, Report, Section
from localagent.doctor.sandboxes import KindReport, _line, unseen
from localagent.selftest.runner import EscapeResult


def result(topic: str, denied: bool) -> EscapeResult:
    return EscapeResult(f"a-{topic}", "an attempt", denied, "detail", topic)


RESULTS = (
    *(result("network", True), result("limits", True), result("files", False)),
    *(result("files", False), result("processes", False)),
)


def test_a_kind_without_files_is_no_leak_but_says_what_stays_open() -> None:
    kind = KindReport("seccomp", works=True, selectable=True, canaries=RESULTS)
    assert kind.out == ()
    assert kind.open == {"files": 2, "processes": 1}
    assert _line(kind, canaries=True) == (
        "seccomp works; 2 escape tests, all denied; 3 others succeed, because this kind does not "
        "hold them: 2 of files, 1 of processes"
    )
    name, good, text = _tested(kind)
    assert (name, good) == ("sandbox seccomp", True)
    assert f"seccomp works; {text}" == _line(kind, canaries=True)


def test_the_network_getting_out_is_a_leak_of_that_kind_too() -> None:
    kind = KindReport("seccomp", True, True, canaries=(*RESULTS, result("network", False)))
    assert [canary.topic for canary in kind.out] == ["network"]
    assert "1 got out" in _line(kind, canaries=True)
    assert _tested(kind)[1] is False


def test_files_getting_out_of_another_kind_are_a_leak() -> None:
    kind = KindReport("landlock", True, True, canaries=RESULTS)
    assert len(kind.out) == 3
    assert kind.open == {}


def test_what_nobody_counts() -> None:
    assert unseen("namespace") == ""
    assert "denies commands the network" in unseen("seccomp")
    assert "can use the network" in unseen("process")


def test_selftest_names_what_stops_a_run() -> None:
    problems = (DoctorProblem("no model", "fetch it"), DoctorProblem("small", fatal=False))
    report = Report((Section("models", problems=problems),))
    text = "no model (fetch it); 1 note (see localagent doctor)"
    assert _examined(report) == (False, text)
    assert _examined(Report(())) == (True, "a run would work")


def test_a_test_that_could_not_run_is_no_escape() -> None:
    check = canaries(KindReport("landlock", True, True, "no space"))
    assert not check.holds and "could not run: no space" in check.found
    assert "nothing was tested" in check.hint and "report the escape" not in check.hint

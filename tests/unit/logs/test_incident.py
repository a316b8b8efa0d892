"""The harness finds the first cause of generated incidents, and quotes lines of the logs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from localagent.logs.digest import LogDigest
from localagent.logs.incident import Incident, find_incident
from localagent.logs.report import as_json, as_markdown, as_text, sections
from localagent.logs.store import digest_of
from localagent.logs.timestamps import show_time
from tests.doubles.log_files import script


def _incident(folder: Path, kind: str) -> tuple[LogDigest, Incident, str, str]:
    with script("incident_logs") as logs:
        truth = logs.write(folder / "logs", 4, kind, 0.05)
    digest = digest_of([str(folder / "logs")])
    incident = find_incident(digest)
    assert incident is not None
    return digest, incident, truth.minute, truth.text


@pytest.mark.parametrize("kind", ["disk", "memory", "config", "certificate", "lock"])
def test_the_first_cause_comes_first(tmp_path: Path, kind: str) -> None:
    _, incident, minute, text = _incident(tmp_path, kind)
    cause = incident.candidates[0]
    assert show_time(cause.minute) == minute
    assert text in cause.place.text
    assert incident.onset >= cause.minute


def test_the_report_quotes_places_that_have_the_line(tmp_path: Path) -> None:
    digest, incident, minute, text = _incident(tmp_path, "config")
    parts = list(sections(digest, incident))
    page = as_text(parts)
    assert f"{minute}  " in page
    assert "^ errors begin at" in page
    place = re.search(r"probable first cause\n.*\n  (\S+):(\d+)\n  (.*)", page)
    assert place is not None
    line = Path(place[1]).read_text().splitlines()[int(place[2]) - 1]
    assert line == place[3]
    assert text in line
    assert "## Probable first cause" in as_markdown(parts)
    data = json.loads(json.dumps(as_json(digest, incident)))
    assert data["incident"]["cause"]["minute"] == minute


def test_the_latest_of_several_deploys_may_be_the_cause(tmp_path: Path) -> None:
    path = tmp_path / "app.log"
    lines = [f"2026-11-28T{h:02}:{m:02}:00Z INFO tick" for h in range(8, 12) for m in range(60)]
    lines += [f"2026-11-28T{time}:00Z INFO deployed api 1.{time[1]}" for time in ("08:40", "11:00")]
    lines += [f"2026-11-28T11:04:{n:02}Z ERROR no column region in api" for n in range(50)]
    path.write_text("".join(f"{line}\n" for line in sorted(lines)))
    incident = find_incident(digest_of([str(path)]))
    assert incident is not None
    assert "11:00:00Z INFO deployed" in incident.candidates[0].place.text


def test_a_quiet_log_has_no_incident(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("".join(f"2026-11-28T10:{n:02}:00Z INFO tick {n}\n" for n in range(60)))
    digest = digest_of([str(path)])
    assert find_incident(digest) is None
    page = as_text(sections(digest, None))
    assert "no burst" in page
    assert "warnings and errors\n\n" not in page

"""Code that runs before the lock is named."""

from __future__ import annotations

import site
import sys
from pathlib import Path

import pytest

from localagent.doctor import airgap
from localagent.doctor.before_lock import files_before_lock
from localagent.egress import EgressState


def test_files_with_code_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = (
        "import os; var = 'SETUPTOOLS_USE_DISTUTILS'; "
        "enabled = os.environ.get(var, 'local') == 'local'; "
        "enabled and __import__('_distutils_hack').add_shim(); \n"
    )
    for name, text in {
        "a.pth": "/some/folder\n# import x\n",
        "distutils-precedence.pth": known,
        "evil.pth": "import evil_helper\n",
        "hidden.pth": known + "import\tevil\n",
    }.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(site, "getsitepackages", lambda: [str(tmp_path)])
    monkeypatch.setattr(site, "ENABLE_USER_SITE", False)
    monkeypatch.delitem(sys.modules, "sitecustomize", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "sitecustomize.py").write_text("")
    names = [Path(file).name for file in files_before_lock()]
    assert names == ["evil.pth", "hidden.pth", "sitecustomize.py"]
    check = airgap.start(files_before_lock())
    assert not check.holds and "evil.pth" in check.found
    assert airgap.start([]).holds


def test_root_can_leave_a_network_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airgap.os, "geteuid", lambda: 0)
    check = airgap.process(EgressState("namespace"))
    assert not check.holds and "you are root" in check.found
    assert airgap.process(EgressState("landlock")).holds
    monkeypatch.setattr(airgap.os, "geteuid", lambda: 1000)
    assert airgap.process(EgressState("namespace")).holds

"""What runs code before localagent is named."""

from __future__ import annotations

import site
import sys
from pathlib import Path

import pytest

from localagent.core import isolation
from localagent.core.isolation import before_lock
from localagent.doctor import airgap
from localagent.egress import EgressState


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of packages, without variables of Python."""
    for name in isolation._variables():
        monkeypatch.delenv(name)
    monkeypatch.setattr(site, "getsitepackages", lambda: [str(tmp_path)])
    monkeypatch.setattr(site, "ENABLE_USER_SITE", False)
    monkeypatch.delitem(sys.modules, "sitecustomize", raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_files_with_code_are_named(packages: Path) -> None:
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
        (packages / name).write_text(text)
    (packages / "sitecustomize.py").write_text("")
    names = [Path(file).name for file in before_lock()]
    assert names == ["evil.pth", "hidden.pth", "sitecustomize.py"]
    check = airgap.start(before_lock())
    assert not check.holds and "evil.pth" in check.found
    assert airgap.start([]).holds


@pytest.mark.parametrize(
    ("name", "value", "loads"),
    [
        ("PYTHONPATH", "/elsewhere", True),
        ("PYTHONPATH", str(Path(isolation.__file__).parents[2]), False),
        ("PYTHONHOME", "/elsewhere", True),
        ("PYTHONPYCACHEPREFIX", "/elsewhere", True),
        ("PYTHONWARNINGS", "error::evil.Warning", True),
        ("PYTHONWARNINGS", "ignore", False),
        ("PYTHON_PRESITE", "evil", True),
        ("PYTHONNEW", "1", True),
        ("PYTHONUNBUFFERED", "1", False),
        ("PYTHON_VERSION", "3.11.9", False),
        ("PYTHONSTARTUP", "/elsewhere", False),
    ],
)
def test_variables_that_load_code_are_named(
    name: str, value: str, loads: bool, packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert before_lock() == ([name] if loads else [])


def test_root_can_leave_a_network_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airgap.os, "geteuid", lambda: 0)
    check = airgap.process(EgressState("namespace"))
    assert not check.holds and "you are root" in check.found
    assert airgap.process(EgressState("landlock")).holds
    monkeypatch.setattr(airgap.os, "geteuid", lambda: 1000)
    assert airgap.process(EgressState("namespace")).holds

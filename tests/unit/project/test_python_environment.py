"""Which Python environment is the project's, and what a check's PATH is then."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from localagent.project.python_environment import check_python, check_variables, find_environment

NAMES = ("UV_PROJECT_ENVIRONMENT", "VIRTUAL_ENV", "CONDA_PREFIX", "CONDA_DEFAULT_ENV")


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:here:/bin")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "ours"))
    monkeypatch.setattr(sys, "base_prefix", "/usr")


def environment(folder: Path, marker: str = "pyvenv.cfg") -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin/python").touch()
    (folder / marker).mkdir() if marker == "conda-meta" else (folder / marker).touch()
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def test_a_project_without_an_environment_changes_nothing(root: Path) -> None:
    (root / "venv").mkdir()  # a folder of another purpose
    assert find_environment(root) is None
    assert check_variables(root) == {}


def test_the_environment_in_the_project_comes_first(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    inside = environment(root / ".venv")
    monkeypatch.setenv("VIRTUAL_ENV", str(environment(tmp_path / "active")))
    assert str(find_environment(root)) == ".venv"
    assert check_variables(root) == {
        "PATH": f"{inside}/bin:/usr/bin:/bin",
        "VIRTUAL_ENV": str(inside),
    }


def test_localagent_s_own_environment_is_not_the_project_s(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ours = environment(tmp_path / "ours")
    monkeypatch.setenv("VIRTUAL_ENV", str(ours))
    monkeypatch.setenv("PATH", f"{ours}/bin:/usr/bin")
    assert find_environment(root) is None
    environment(root / "venv")
    assert check_variables(root)["PATH"] == f"{root}/venv/bin:/usr/bin"


def test_localagent_s_own_project_may_use_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = environment(root / ".venv")
    monkeypatch.setattr(sys, "prefix", str(ours))
    monkeypatch.setenv("PATH", f"{ours}/bin:/usr/bin")
    assert check_variables(root)["PATH"] == f"{ours}/bin:{ours}/bin:/usr/bin"


def test_an_environment_without_python_is_passed_over(root: Path) -> None:
    (environment(root / ".venv") / "bin/python").unlink()
    assert find_environment(root) is None


@pytest.mark.parametrize(
    ("variables", "marker", "text"),
    [
        ({"VIRTUAL_ENV": "{e}"}, "pyvenv.cfg", "{e} (active)"),
        ({"CONDA_PREFIX": "{e}"}, "conda-meta", "{e} (conda)"),
        ({"CONDA_PREFIX": "{e}", "CONDA_DEFAULT_ENV": "base"}, "conda-meta", "None"),
        ({"UV_PROJECT_ENVIRONMENT": "{e}"}, "pyvenv.cfg", "{e} (uv)"),
    ],
)
def test_an_environment_that_variables_name(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    marker: str,
    text: str,
) -> None:
    folder = str(environment(tmp_path / "elsewhere", marker))
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(e=folder))
    assert str(find_environment(root)) == text.format(e=folder)


def test_conda_s_environment_needs_no_virtual_env(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", str(environment(tmp_path / "ours")))
    monkeypatch.setenv("CONDA_PREFIX", str(environment(tmp_path / "conda", "conda-meta")))
    assert check_variables(root)["VIRTUAL_ENV"] == ""


@pytest.mark.parametrize(
    ("lock", "variable", "path", "name"),
    [
        ("poetry.lock", "POETRY_VIRTUALENVS_PATH", "/x/shop", "shop-kLP-y8xf-py3.11"),
        ("Pipfile", "WORKON_HOME", "/x/shop/Pipfile", "shop-pVoSgzhZ"),
    ],
)
def test_environments_of_poetry_and_pipenv_are_named_by_a_hash(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lock: str,
    variable: str,
    path: str,
    name: str,
) -> None:
    made = environment(tmp_path / name)
    monkeypatch.setenv(variable, str(tmp_path))
    root = Path("/x/shop")
    is_file = Path.is_file
    monkeypatch.setattr(Path, "is_file", lambda p: p == root / lock or is_file(p))
    found = find_environment(root)
    assert found is not None and found.folder == made


@pytest.mark.parametrize("tool", ["tox", "nox"])
def test_an_environment_of_tox_or_nox_serves_at_last(root: Path, tool: str) -> None:
    made = environment(root / f".{tool}/py311")
    assert str(find_environment(root)) == f".{tool}/py311"
    assert check_variables(root)["PATH"].split(os.pathsep)[0] == f"{made}/bin"


def test_the_python_of_a_check_has_a_name(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert str(check_python(root)) == "no Python"
    ours = environment(tmp_path / "ours")
    (ours / "bin/python").chmod(0o755)
    monkeypatch.setenv("PATH", f"{ours}/bin")
    assert str(check_python(root)) == f"localagent's own Python ({ours}/bin/python)"
    (environment(root / ".venv") / "bin/python").chmod(0o755)
    assert str(check_python(root)) == "the Python of .venv"
    assert check_python(root).path == f"{root}/.venv/bin/python"

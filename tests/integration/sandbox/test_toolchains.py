"""What people do in a project works in every kind of sandbox, without a network."""

from __future__ import annotations

import glob
import os
import shlex
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from localagent.sandbox.base import Command, CommandResult, Sandbox

pytestmark = [pytest.mark.sandbox, pytest.mark.slow]
PYTHON = shlex.quote(sys.executable)


def run(sandbox: Sandbox, root: Path, line: str) -> CommandResult:
    with sandbox.open(root) as snapshot:
        return snapshot.run(Command(line, seconds=300.0))


def fill(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def test_pytest(confining: Sandbox, tmp_path: Path) -> None:
    fill(
        tmp_path,
        {
            "calc.py": "def add(a, b):\n    return a + b\n",
            "test_calc.py": "import calc\n\ndef test_add(tmp_path, capfd):\n"
            "    (tmp_path / 'x').write_text('y')\n    assert calc.add(1, 2) == 3\n\n"
            "def test_wrong():\n    assert calc.add(1, 2) == 4\n",
        },
    )
    packages = shlex.quote(str(Path(pytest.__file__).parents[1]))
    done = run(confining, tmp_path, f"PYTHONPATH={packages} {PYTHON} -m pytest -q")
    assert done.exit_code == 1 and "1 failed, 1 passed" in done.output, done.output


def test_pip_installs_a_wheel_that_is_there(confining: Sandbox, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "shop-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("shop.py", "PRICE = 7\n")
        wheel.writestr(
            "shop-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n"
        )
        wheel.writestr(
            "shop-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr(
            "shop-1.0.dist-info/RECORD",
            "shop.py,,\nshop-1.0.dist-info/METADATA,,\nshop-1.0.dist-info/WHEEL,,\n"
            "shop-1.0.dist-info/RECORD,,\n",
        )
    pip = f"{PYTHON} -m pip"
    if os.system(f"{pip} --version >/dev/null 2>&1"):
        pytest.skip("pip is not installed")
    line = f"{pip} install -q --target lib shop-1.0-py3-none-any.whl 2>&1 && "
    line += f"PYTHONPATH=lib {PYTHON} -c 'import shop; print(shop.PRICE)'"
    done = run(confining, tmp_path, line)
    assert done.output.splitlines()[-1:] == ["7"], done.output


def test_a_virtual_environment(confining: Sandbox, tmp_path: Path) -> None:
    line = f"{PYTHON} -m venv --without-pip env && env/bin/python -c 'print(6 * 7)'"
    done = run(confining, tmp_path, line)
    assert done.output == "42\n"


def test_npm(confining: Sandbox, tmp_path: Path) -> None:
    needs("npm", "node")
    script = '{"name": "shop", "version": "1.0.0", "scripts": {"test": "node --test"}}'
    fill(
        tmp_path,
        {
            "package.json": script,
            "a.test.js": "require('node:test')('adds', () => { if (1 + 1 !== 2) throw 1 })\n",
        },
    )
    done = run(confining, tmp_path, "npm test")
    assert done.exit_code == 0 and "pass 1" in done.output, done.output


def test_cargo(confining: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs("cargo")
    _real_rustup(monkeypatch)
    fill(
        tmp_path,
        {
            "Cargo.toml": '[package]\nname = "shop"\nversion = "0.1.0"\nedition = "2021"\n',
            "src/main.rs": 'fn main() { println!("price {}", 6 * 7); }\n\n'
            "#[test]\nfn adds() { assert_eq!(1 + 1, 2); }\n",
        },
    )
    done = run(confining, tmp_path, "cargo build --offline && target/debug/shop && cargo test -q")
    assert done.exit_code == 0 and "price 42" in done.output, done.output


def _real_rustup(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests have a home of their own, where cargo looks for its toolchain."""
    cargo = Path(os.path.realpath(shutil.which("cargo") or ""))
    home = cargo.parents[2] / ".rustup" if len(cargo.parents) > 2 else cargo
    if home.is_dir():
        monkeypatch.setenv("RUSTUP_HOME", str(home))


def test_go(confining: Sandbox, tmp_path: Path) -> None:
    needs("go")
    fill(
        tmp_path,
        {
            "go.mod": "module shop\n\ngo 1.18\n",
            "shop.go": "package shop\n\nfunc Add(a, b int) int { return a + b }\n",
            "shop_test.go": 'package shop\n\nimport "testing"\n\nfunc TestAdd(t *testing.T) {\n'
            "\tif Add(1, 2) != 3 {\n\t\tt.Fatal()\n\t}\n}\n",
        },
    )
    done = run(confining, tmp_path, "go vet ./... && go test ./...")
    assert done.exit_code == 0 and "ok" in done.output, done.output


def test_make_and_a_compiler(confining: Sandbox, tmp_path: Path) -> None:
    needs("make", "cc")
    fill(
        tmp_path,
        {
            "Makefile": "test: shop\n\t./shop\nshop: shop.c\n\tcc -o $@ $<\n",
            "shop.c": '#include <stdio.h>\nint main(void) { puts("made"); return 0; }\n',
        },
    )
    done = run(confining, tmp_path, "make -s -j2 test")
    assert (done.exit_code, done.output) == (0, "made\n"), done.output


def test_postgres_on_a_socket_in_the_workspace(confining: Sandbox, tmp_path: Path) -> None:
    needs("psql")
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    initdb = found[-1] if found else shutil.which("initdb")
    if initdb is None:
        pytest.skip("postgres is not installed")
    if os.getuid() == 0:
        pytest.skip("postgres does not run as root; test_as_user.py tries it")
    folder = shlex.quote(os.path.dirname(os.path.realpath(initdb)))
    line = f"""
    PATH={folder}:$PATH
    initdb -D db -A trust -U me >log 2>&1 || {{ cat log; exit 1; }}
    pg_ctl -D db -l log -w -o "-k '$PWD/run' -c listen_addresses=''" start >/dev/null ||
        {{ cat log; exit 1; }}
    psql -h "$PWD/run" -U me -d postgres -Atc 'select 6 * 7'
    pg_ctl -D db -m immediate stop >/dev/null
    """
    done = run(confining, tmp_path, f"mkdir run; {line}")
    if confining.kind == "landlock":  # System V memory is shared with all programs there
        assert "shmget" in done.output and "not permitted" in done.output
        return
    assert done.output.strip() == "42", done.output


def test_sqlite(confining: Sandbox, tmp_path: Path) -> None:
    code = "import sqlite3; d = sqlite3.connect('d.db'); d.execute('pragma journal_mode=wal'); "
    code += (
        "d.execute('create table t(a)'); d.commit(); print(d.execute('select 42').fetchone()[0])"
    )
    done = run(confining, tmp_path, f'{PYTHON} -c "{code}"')
    assert done.output == "42\n", done.output


def test_a_refusal_is_an_error_of_the_command(confining: Sandbox, tmp_path: Path) -> None:
    line = f"{PYTHON} -c \"import socket; socket.create_connection(('192.0.2.1', 80), 5)\""
    done = run(confining, tmp_path, line)
    assert done.exit_code == 1 and "Error" in done.output

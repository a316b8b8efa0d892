"""The tools that read and write files."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from localagent.core.errors import OutsideWorkspace, ToolError
from localagent.core.messages import ToolResult
from localagent.tools.base import ToolContext
from localagent.tools.read import line_range
from localagent.tools.registry import standard_tools

Use = Callable[..., ToolResult]
BLOCK = (
    "<<<<<<< SEARCH\n    return sum(items)\n=======\n    return sum(items) + 1\n>>>>>>> REPLACE\n"
)


def snapshot(root: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


class TestRead:
    def test_whole(self, use: Use) -> None:
        result = use("read", path="notes.txt")
        assert result.ok
        assert result.for_model == "notes.txt, lines 1-1 of 1\n1|Total: 3"

    def test_lines(self, use: Use) -> None:
        assert use("read", path="./src/app.py", lines="4-5").for_model == (
            "src/app.py, lines 4-5 of 10\n4|def total(items):\n5|    return sum(items)"
        )
        assert "10|        self" in use("read", path="src/app.py", lines="9-99").for_model
        assert "has 10 lines" in use("read", path="src/app.py", lines="11").for_model

    def test_long_files_are_cut_and_say_how_to_go_on(self, use: Use, root: Path) -> None:
        (root / "long.txt").write_text("".join(f"line {n}\n" for n in range(1, 2001)))
        result = use("read", path="long.txt")
        assert len(result.for_model) <= 4000
        last = int(result.for_model.split("\n")[-2].split("|")[0])
        assert f"… {2000 - last} more lines, read lines={last + 1}-" in result.for_model
        assert result.for_model.startswith(f"long.txt, lines 1-{last} of 2000")

    def test_long_lines_are_cut(self, use: Use, root: Path) -> None:
        (root / "min.js").write_text("x" * 10_000 + "\ny\n")
        assert "… (10000 characters)\n2|y" in use("read", path="min.js").for_model

    def test_empty_and_odd_encodings(self, use: Use, root: Path) -> None:
        (root / "empty").write_bytes(b"")
        (root / "latin").write_bytes(b"caf\xe9\r\n")
        (root / "wide").write_bytes("é\n".encode("utf-16"))
        assert use("read", path="empty").for_model == "empty is empty"
        assert use("read", path="latin").for_model.endswith("1|café")
        assert use("read", path="wide").for_model.endswith("1|é")

    @pytest.mark.parametrize(
        ("path", "message"),
        [
            ("src/ap.py", "no file src/ap.py; there is src/app.py"),
            ("app.py", "there is src/app.py"),
            ("zzz", "use list"),
            ("src", "is a folder"),
            (".git/config", "belongs to git"),
            ("pic.png", r"binary file \(a PNG image, 9 bytes\)"),
        ],
    )
    def test_refused(self, use: Use, root: Path, path: str, message: str) -> None:
        (root / "pic.png").write_bytes(b"\x89PNG\x00\x01\x02\x03\x04")
        with pytest.raises(ToolError, match=message):
            use("read", path=path)

    def test_a_secret_file_is_for_the_gate_to_decide(self, context: ToolContext) -> None:
        action = standard_tools()["read"].prepare({"path": ".env"}, context)
        assert (action.effect, action.subject) == ("read", ".env")
        assert action.preview == "show .env to the model?"
        for tool in ("edit", "write"):
            with pytest.raises(ToolError, match="secrets"):
                standard_tools()[tool].prepare({"path": ".env", "body": "x"}, context)

    def test_outside(self, use: Use, root: Path) -> None:
        (root.parent / "secret.txt").write_text("x")
        (root / "link").symlink_to("../secret.txt")
        for path in ("../secret.txt", "/etc/passwd", "link"):
            with pytest.raises(OutsideWorkspace):
                use("read", path=path)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("10-40", (10, 40)),
            ("10", (10, 10)),
            ("10-", (10, None)),
            ("-40", (1, 40)),
            ("L10-L40", (10, 40)),
            ("10:40", (10, 40)),
            ("[10, 40]", (10, 40)),
            ("lines 10 to 40", (10, 40)),
            ("10-end", (10, None)),
            ("0-5", (1, 5)),
            ("", None),
            ("all", None),
        ],
    )
    def test_ranges(self, text: str, expected: object) -> None:
        assert line_range(text) == expected

    @pytest.mark.parametrize("text", ["x", "5-3", "1-2-3", "1e3", "-"])
    def test_no_ranges(self, text: str) -> None:
        if text == "-":
            assert line_range(text) is None
            return
        with pytest.raises(ValueError):
            line_range(text)


class TestArguments:
    def test_unknown(self, use: Use) -> None:
        with pytest.raises(
            ToolError, match=r"no argument 'limit'; it takes path, lines \(optional\)"
        ):
            use("read", path="notes.txt", limit="5")

    def test_missing(self, use: Use) -> None:
        with pytest.raises(ToolError, match="read needs path; it takes path"):
            use("read")
        with pytest.raises(ToolError, match="edit needs a body in its block"):
            use("edit", path="notes.txt")

    def test_bad_value(self, use: Use) -> None:
        with pytest.raises(ToolError, match='read: lines: write a range such as "10-40"'):
            use("read", path="notes.txt", lines="first")
        with pytest.raises(ToolError, match="list: depth: "):
            use("list", depth="deep")


class TestList:
    def test_tree(self, use: Use) -> None:
        assert use("list").for_model == (
            "./ (5 files)\nsrc/\n  app.py\n  util.py\n.gitignore\nREADME.md\nnotes.txt"
        )
        assert use("list", path="src").for_model == "src/ (2 files)\napp.py\nutil.py"
        assert use("list", depth="1").for_model.split("\n")[1] == "src/ (2 files)"

    def test_large_folders_are_closed_or_cut(self, use: Use, root: Path) -> None:
        for folder in range(5):
            (root / f"d{folder}").mkdir()
            for n in range(200):
                (root / f"d{folder}/file_{n}").touch()
        result = use("list")
        assert "d0/ (200 files)" in result.for_model
        many = use("list", path="d0")
        assert len(many.for_model) <= 4000
        assert "more entries" not in result.for_model
        for n in range(2000):
            (root / f"d0/more_{n}").touch()
        assert "more entries" in use("list", path="d0").for_model

    def test_not_a_folder(self, use: Use) -> None:
        assert "use read" in use("list", path="notes.txt").for_model
        with pytest.raises(ToolError, match="no folder srx"):
            use("list", path="srx")
        assert "no files" in use("list", path="build").for_model


class TestWrite:
    def test_new_with_folders(self, use: Use, root: Path) -> None:
        result = use("write", path="a/b/new.py", body="x = 1\ny = 2")
        assert result.for_model == "created a/b/new.py (+2 -0 lines)"
        assert (root / "a/b/new.py").read_bytes() == b"x = 1\ny = 2\n"

    def test_over_an_old_one_it_keeps_how_that_is_stored(self, use: Use, root: Path) -> None:
        (root / "dos.bat").write_bytes(b"\xef\xbb\xbfa\r\nb")
        (root / "dos.bat").chmod(0o755)
        use("write", path="dos.bat", body="a\nc\n")
        assert (root / "dos.bat").read_bytes() == b"\xef\xbb\xbfa\r\nc"
        assert os.stat(root / "dos.bat").st_mode & 0o777 == 0o755

    def test_prepare_touches_nothing_and_shows_the_diff(
        self, context: ToolContext, root: Path
    ) -> None:
        before = snapshot(root)
        tool = standard_tools()["write"]
        action = tool.prepare({"path": "notes.txt", "body": "Total: 4\n"}, context)
        assert snapshot(root) == before
        assert action.preview == (
            "--- a/notes.txt\n+++ b/notes.txt\n@@ -1 +1 @@\n-Total: 3\n+Total: 4\n"
        )
        assert (action.effect, action.subject) == ("write", "notes.txt")
        assert [(c.path, c.kind, c.data) for c in action.changes] == [
            ("notes.txt", "file", b"Total: 4\n")
        ]

    @pytest.mark.parametrize(
        ("path", "body", "message"),
        [
            (
                "x.py",
                "def f(:\n",
                "x.py would not parse after this edit; nothing was changed: line 1",
            ),
            ("x.json", "{", "would not parse"),
            ("src/app.py", "import os\n# ... existing code ...\n", "omitted code"),
            ("notes.txt", "Total: 3\n", "changes nothing"),
            ("notes.txt", " \n", "needs the content"),
            ("src", "x", "is a folder"),
            (".", "x", "path of a file"),
            ("notes.txt/x", "x", "notes.txt is a file"),
            (".git/hooks/pre-commit", "x", "belongs to git"),
            (".GIT/config", "x", "belongs to git"),
            ("sub/.git/config", "x", "belongs to git"),
            ("id_rsa", "x", "secrets"),
        ],
    )
    def test_refused(self, use: Use, root: Path, path: str, body: str, message: str) -> None:
        before = snapshot(root)
        with pytest.raises(ToolError, match=message):
            use("write", path=path, body=body)
        assert snapshot(root) == before

    def test_a_file_that_did_not_parse_before_may_be_written(self, use: Use, root: Path) -> None:
        (root / "bad.py").write_text("def f(:\n")
        assert use("write", path="bad.py", body="def f(:\n    pass\n").ok

    def test_through_links(self, use: Use, root: Path) -> None:
        (root / "alias.py").symlink_to("src/app.py")
        (root / "out").symlink_to("..")
        use("write", path="alias.py", body="x = 1\n")
        assert (root / "alias.py").is_symlink()
        assert (root / "src/app.py").read_text() == "x = 1\n"
        with pytest.raises(OutsideWorkspace):
            use("write", path="out/x", body="x")

    def test_a_change_in_the_meantime_is_kept(self, context: ToolContext, root: Path) -> None:
        action = standard_tools()["write"].prepare({"path": "notes.txt", "body": "a\n"}, context)
        (root / "notes.txt").write_text("by the user\n")
        with pytest.raises(ToolError, match="read it again"):
            action.perform()
        assert (root / "notes.txt").read_text() == "by the user\n"


class TestEdit:
    def test_blocks(self, use: Use, root: Path) -> None:
        result = use("edit", path="src/app.py", body=BLOCK)
        assert result.for_model == "changed src/app.py (+1 -1 lines)"
        assert "return sum(items) + 1\n" in (root / "src/app.py").read_text()

    def test_path_from_the_block(self, use: Use, root: Path) -> None:
        assert use("edit", body=f"src/app.py\n```\n{BLOCK}```").ok

    def test_all_blocks_or_none(self, use: Use, root: Path) -> None:
        before = snapshot(root)
        with pytest.raises(ToolError, match="block 2: the SEARCH lines are not in the file"):
            use("edit", path="src/app.py", body=BLOCK + BLOCK.replace("sum", "max"))
        assert snapshot(root) == before

    def test_function(self, use: Use, root: Path) -> None:
        code = "def add(self, item):\n    return item\n"
        assert use("edit", path="src/app.py", function="Cart.add", body=code).ok
        assert (
            (root / "src/app.py")
            .read_text()
            .endswith("    def add(self, item):\n        return item\n")
        )

    def test_a_function_without_saying_so(self, use: Use, root: Path) -> None:
        body = "```python\ndef total(items):\n    return 7\n```"
        assert use("edit", path="src/app.py", body=body).ok
        assert "return 7" in (root / "src/app.py").read_text()

    @pytest.mark.parametrize(
        ("path", "body", "message"),
        [
            ("src/app.py", "return 7", "edit needs blocks like this"),
            ("src/app.py", BLOCK.replace("+ 1", "+ ("), "would not parse"),
            ("src/new.py", BLOCK, "no file src/new.py"),
            ("src/app.py", f"notes.txt\n{BLOCK}", "this call edits src/app.py; edit notes.txt"),
            ("src/app.py", "<<<<<<< SEARCH\nx\n>>>>>>> REPLACE", "no ======= line"),
        ],
    )
    def test_refused(self, use: Use, root: Path, path: str, body: str, message: str) -> None:
        before = snapshot(root)
        with pytest.raises(ToolError, match=message):
            use("edit", path=path, body=body)
        assert snapshot(root) == before

    def test_binary(self, use: Use, root: Path) -> None:
        (root / "a.bin").write_bytes(b"\0\1")
        with pytest.raises(ToolError, match="binary"):
            use("edit", path="a.bin", body=BLOCK)

    def test_large(self, context: ToolContext, root: Path) -> None:
        (root / "big.txt").write_bytes(b"x\n" * (1 << 21))
        with pytest.raises(ToolError, match="too large"):
            standard_tools()["edit"].prepare({"path": "big.txt", "body": BLOCK}, context)


def test_the_bound_on_results_is_the_contexts(context: ToolContext, root: Path) -> None:
    (root / "long.txt").write_text("word\n" * 5000)
    small = dataclasses.replace(context, max_chars=500)
    for call in (
        ("read", {"path": "long.txt"}),
        ("search", {"pattern": "word"}),
        ("shell", {"body": "cat long.txt"}),
    ):
        result = standard_tools()[call[0]].prepare(call[1], small).perform()
        assert 0 < len(result.for_model) <= 500, call

"""Which files a written path means."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from localagent.index.ranking import is_path, matching_paths

PARTS = st.sampled_from(["a", "a.py", "b.py", "b.tar.gz", ".env", "src", "a b"])
FILES = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
WRITTEN = st.lists(PARTS | st.sampled_from(["..", ".", "", "x"]), max_size=4).map("/".join)


@given(st.lists(FILES, unique=True).map(sorted), st.lists(FILES | WRITTEN))
def test_looking_at_the_last_part_first_misses_nothing(
    files: list[str], written: list[str]
) -> None:
    plain = [
        (path, next(text for text in written if is_path(path, text)))
        for path in files
        if any(is_path(path, text) for text in written)
    ]
    assert list(matching_paths(files, written)) == plain

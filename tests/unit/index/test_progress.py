"""The warning about an index that is still being built."""

from __future__ import annotations

import pytest

from localagent.index.disk import progress_warning


@pytest.mark.parametrize(
    ("done", "text"),
    [
        (64, "the index is still being built, 64 of 1,220 files so far"),
        (1220, "the index is still being built: all 1,220 files are read, but not yet linked"),
    ],
)
def test_the_warning_never_counts_all_files_as_some(done: int, text: str) -> None:
    assert progress_warning(done, 1220) == text

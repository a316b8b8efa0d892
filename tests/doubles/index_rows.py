"""What an index holds, to be compared with what another one holds."""

from __future__ import annotations

from pathlib import Path

from localagent.index.store import Store

_SELECTS = {
    "files": "path, size, hash, files.kind, lines FROM files ORDER BY 1",
    "chunks": "path, name, line, end_line FROM chunks JOIN files ON files.id = file ORDER BY 1, 3",
    "symbols": "path, name, symbols.kind, line, end_line, signature FROM symbols"
    " JOIN files ON files.id = file ORDER BY 1, 4, 2",
    "grams": "path, bits FROM grams JOIN files ON files.id = file ORDER BY 1",
    "words": "path, line FROM chunk_words JOIN chunks ON chunks.id = chunk_words.rowid"
    " JOIN files ON files.id = chunks.file WHERE chunk_words MATCH 'shared OR attempt OR step'"
    " ORDER BY 1, 2",
    "commits": "hash, commits.files, path FROM commits LEFT JOIN commit_files USING (id)"
    " ORDER BY 1, 3",
    "commit words": "hash, words FROM commit_words JOIN commits ON id = commit_words.rowid"
    " ORDER BY 1",
    "calls": "path, term FROM uses_rows JOIN files ON files.id = doc WHERE col = 'calls'"
    " ORDER BY 1, 2",
    "imports": "path, term FROM uses_rows JOIN files ON files.id = doc WHERE col = 'imports'"
    " ORDER BY 1, 2",
}


def rows(file: Path, root: Path) -> dict[str, list[tuple[object, ...]]]:
    """All that the index in `file` holds, without ids and times; of its words a few."""
    with Store(file, root) as store:
        store.connection.execute(
            "CREATE VIRTUAL TABLE temp.uses_rows USING fts5vocab (main, uses, instance)"
        )
        return {
            name: store.connection.execute(f"SELECT {select}").fetchall()
            for name, select in _SELECTS.items()
        }

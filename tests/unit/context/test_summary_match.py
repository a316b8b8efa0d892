"""The order of passages by their summaries."""

from __future__ import annotations

from localagent.context.summary_match import SummaryMatch
from localagent.index.base import Passage

FILES = {
    "undo.py": [
        "def take_back(turns):",
        '    """Undo the turns of a session. Their files return."""',
        "    return sorted(turns)",
        "",
        "// Opens the log of a session",
        "func open(session) {",
    ],
    "report.py": [
        "def report(log):",
        "    lines = []",
        "    return [turn for turn in undo(log.session.turns)]",
    ],
    "tests/test_undo.py": ["def test_undo_the_turns_of_a_session():", "    pass"],
}


def ranked(question: str, *passages: Passage) -> list[str]:
    match = SummaryMatch(question, passages, FILES.__getitem__)
    return [passage.name for passage in match.ranked(passages)]


BODY = Passage("report.py", "report", 1, 3, 1.0)
SENTENCE = Passage("undo.py", "take_back", 1, 3, 0.7)
COMMENT = Passage("undo.py", "open", 5, 6, 0.3)
TEST = Passage("tests/test_undo.py", "test_undo_the_turns_of_a_session", 1, 2, 1.0)


def test_the_sentence_of_a_docstring_counts_more_than_words_of_the_body() -> None:
    assert ranked("How does one undo turns?", BODY, SENTENCE) == ["take_back", "report"]


def test_the_comment_above_a_definition_is_its_sentence() -> None:
    assert ranked("Where is the log opened?", BODY, COMMENT) == ["open", "report"]


def test_tests_stay_at_the_end() -> None:
    names = ranked("How does one undo the turns of a session?", TEST, BODY, SENTENCE)
    assert names == ["take_back", "report", TEST.name]


def test_a_question_without_words_keeps_the_order_of_the_index() -> None:
    assert ranked("what is it?", BODY, SENTENCE, COMMENT) == ["report", "take_back", "open"]
    assert ranked("what is it?") == []


def test_the_summary_of_a_definition_beyond_the_end_of_its_file_is_its_name() -> None:
    gone = Passage("report.py", "undo_turns", 40, 50, 0.5)
    match = SummaryMatch("undo the turns", (BODY, gone), FILES.__getitem__)
    assert match.score(gone) > match.score(BODY)

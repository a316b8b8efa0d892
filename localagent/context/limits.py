"""The numbers of the context: shares of the model's window, and bounds, each with its source.

Measurements: hunks of 695 real fixes from seven repositories, found in 4,000 tokens of context
(`scripts/bench localise`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ContextLimits:
    """Limits of prompts' parts. Shares are of the budget unless they say otherwise."""

    # Code for a request.
    # Share for files that the request names; other files get at least the rest
    named_share: float = 0.6
    map_share: float = 0.05  # Largest share for the map of other names
    imports_share: float = 0.1  # Largest share for the imports of one file
    passages: int = 60  # Passages that the index returns: more than fit into a small model's budget
    imports_files: int = 2  # Files whose imports are included: the best two
    misses: int = 8  # Passages in a row that do not fit, before the search for smaller ones ends
    map_files: int = 8
    # Signatures of one file in the map: the first number that fits
    signatures: tuple[int, ...] = (12, 6, 3)
    # First lines of a named file that has neither passages nor definitions
    unparsed_lines: int = 40
    gap_lines: int = 3  # Gaps of at most so many lines are filled: a mark of the gap costs as much

    # Definitions that the best passages use. They raised the hunks found from 65.3 to 70.3 %.
    used_score: float = 0.3  # Score of a used definition, where the best passage has 1
    using_passages: int = 6
    using_decay: float = 0.8  # Weight of each passage relative to the one before it
    definition_files: int = 10
    import_lines: int = 200  # First lines of a file that may contain its imports
    import_gap: int = 12  # Most lines between two imports that belong together

    # Rules. Long preambles make small models worse and slow to start.
    # Share of the window for the rules of every prompt; the user's own get half at most
    rules_share: float = 1 / 16
    folder_rules_share: float = 1 / 32  # Share of the window for the rules of one folder
    separator_tokens: int = 2  # Most tokens between two rules

    # Earlier questions.
    exchanges: int = 2
    exchange_chars: int = 800
    few_words: int = 4  # A question with fewer terms is searched together with the one before it

    # Compaction.
    # Share of the window that remains after compaction, so that the next step fits, too
    compact_share: float = 0.6
    recent_messages: int = 4  # Messages at the end that stay: the last two calls and their results
    message_tokens: int = 8  # Tokens of a chat template around each message
    summary_chars: int = 300  # Characters of a text that stands for a turn


CONTEXT = ContextLimits()

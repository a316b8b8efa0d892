"""The limits of a prompt's content: shares of the model's window, and bounds, each with its source.

Measurements count which hunks of 695 real fixes from seven repositories are in 4,000 tokens of
context (`scripts/bench localise`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ContextLimits:
    """Limits of prompts' parts. Shares are of the budget, unless a comment says otherwise."""

    # Code for a request.
    # Largest share for files that the request names; other files get at least the rest
    named_share: float = 0.6
    map_share: float = 0.05  # Largest share for the map of other names
    # Passages with a smaller share of the best score are left out, and none is added once
    # `enough_share` of the budget is full. For 21 questions about flask, requests, httpx and
    # structlog, 1,446 tokens instead of 2,806 hold as many answers (16); a share of 0.25 holds 14.
    relevance_floor: float = 0.6
    enough_share: float = 0.4
    imports_share: float = 0.1  # Largest share of `enough_share` for the imports of one file
    # Most passages that the index returns: more than fit into a small model's budget
    passages: int = 60
    imports_files: int = 2  # Most files whose imports are included
    misses: int = 8  # Passages in a row that do not fit after which no smaller passages are tried
    map_files: int = 8
    # Numbers of signatures of one file in the map; the first number that fits is used
    signatures: tuple[int, ...] = (12, 6, 3)
    # Lines from the start of a named file that has neither passages nor definitions
    unparsed_lines: int = 40
    # Gaps of at most this many lines are filled, because the line that marks a gap is as long
    gap_lines: int = 3

    # Definitions that the best passages use. Such definitions raised the hunks found from 65.3 % to
    # 70.3 %.
    used_score: float = 0.6  # Score of a used definition; the index's best passage has 1
    using_passages: int = 6
    using_decay: float = 0.8  # Weight of each passage relative to the previous one
    class_lines: int = 12  # Lines of a class that is used: its docstring and first attributes
    same_names: int = 3  # A name with more definitions says little about which one is used
    import_lines: int = 200  # Lines from the start of a file that may contain its imports
    import_gap: int = 12  # Most lines between two imports of one group

    # Rules. Long preambles make small models worse and slow to start.
    # Share of the window for the rules in every prompt; the user's rules get at most half of it
    rules_share: float = 1 / 16
    folder_rules_share: float = 1 / 32  # Share of the window for the rules of one folder
    separator_tokens: int = 2  # Most tokens between two rules

    # Earlier questions.
    exchanges: int = 2
    exchange_chars: int = 800
    # A question with fewer terms is searched together with the previous question
    few_words: int = 4

    # Compaction.
    # Share of the window that a compacted conversation may fill, so that the next step also fits
    compact_share: float = 0.6
    recent_messages: int = 4  # Last messages that compaction keeps: two calls and their results
    message_tokens: int = 8  # Tokens that a chat template adds to each message
    summary_chars: int = 300  # Most characters of the text that replaces a turn


CONTEXT = ContextLimits()

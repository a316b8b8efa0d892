"""The numbers of the agent loop and of the search, each with its source.

Measurements are of the default model on two cores. The exercises are those of ADR 6, which has the
figures. A value without a measurement states its reason.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LoopLimits:
    """Limits of a turn: replies, steps, and what a prompt contains."""

    steps: int = 40  # Tool calls of a `react` turn: ends the turn of a model that never says "done"
    stumbles: int = 3  # Replies in a row without a new, usable call, before the turn ends
    act_tokens: int = 1200  # Longest reply of `react`: a `write` of about 120 lines
    answer_tokens: int = 600  # Longest answer to a question: a page of text
    plan_tokens: int = 400  # Longest plan: eight steps of 50 tokens
    plan_steps: int = 8  # Steps of a plan. A small model loses the thread sooner.
    # Files that a plan's grammar offers; of a large project the most likely ones
    plan_paths: int = 60
    # Share of the window for the code of an answer. A small machine reads more for longer than a
    # user waits.
    answer_share: float = 0.35
    earlier_share: float = 0.1  # Share of the window for earlier questions and answers
    # Files from earlier prompts that the next prompt names again: the best two
    repeated_files: int = 2
    output_chars: int = 4000  # End of a check's output that the transcript keeps: one screen
    # Lines of a failed check that `react` reads, at most `failure_chars` characters
    failure_lines: int = 20
    failure_chars: int = 1500
    # Lines of the user's failing check that join the conversation: the end of most reports
    shared_lines: int = 40
    # A reply repeats itself if its end consists of `units` equal pieces of at most `unit_chars`
    # characters that fill `span_chars`. Unnoticed, a chain of `.replace()` took 40 s.
    unit_chars: int = 80
    units: int = 5
    span_chars: int = 160
    # Longer pieces are rarer in real text, so fewer repetitions prove it.
    long_unit_chars: int = 480
    long_units: int = 3
    repeat_anchor_chars: int = 64  # End of the text that must recur before a long piece is compared
    # Lines in a row that begin alike. Twenty real lines rarely do; a stuck model writes
    # `text = text.replace(…` until its limit.
    alike_lines: int = 20
    alike_prefix_chars: int = 12
    # Characters between two tests for repetition, which cost more than a token's time
    repeat_poll_chars: int = 64


@dataclass(frozen=True, slots=True)
class SearchLimits:
    """Limits of the search for a change that passes the check."""

    # Schedule.
    # Files that a search tries, one after another. Each gets half of the time that is left.
    targets: int = 3
    # Longer files are edited function by function: a rewrite takes minutes and loses lines
    whole_file_lines: int = 150
    # Shorter files are written anew even where some tests pass: a rewrite takes seconds
    repair_lines: int = 10
    # One part of so many is the time of a first, short search in each of several files
    quick_part: int = 12

    # The check of a candidate.
    # A candidate's check may take this many times as long as the first check. Small models write
    # endless loops.
    check_slowdown: float = 4.0
    # Least time limit of a candidate's check: a loaded machine slows short checks most
    check_seconds: float = 15.0
    # Candidates in a row without an end of the check, before the check itself counts as hung
    timeouts: int = 3
    lean_seconds: float = 0.5  # Shorter checks gain nothing without pytest's plug-ins
    lean_max_seconds: float = 5.0  # In longer checks the tests take the time, not the plug-ins
    # A check without plug-ins must take at most this share of the time. Of the 0.9 s of an
    # exercise's check, loading hypothesis and xdist took 0.7 s.
    lean_gain: float = 0.7

    # Finding the file.
    # Files whose lines the probe traces; their names travel in one environment variable
    traced_files: int = 2000
    query_failures: int = 5  # Failure messages in the index query; more drown the task's words
    query_output_chars: int = 4000
    index_hits: int = 10
    choices: int = 6  # Files among which the model chooses, with `outline_names` names each
    outline_names: int = 12

    # The prompt of a search.
    prompt_thirds: int = 2  # Thirds of the window for the prompt; the reply needs the rest
    # Share of that for a file too long to be shown whole; the rest is for tests and prose
    file_share: float = 0.75
    # Tokens of the chat template and of headings; also the smallest part of a file worth showing
    prompt_reserve: int = 80
    passages: int = 50
    failures: int = 3  # Failing tests in a prompt. A small model works on the first few.
    failure_output_lines: int = 15
    failure_output_chars: int = 1200

    # Whole files.
    file_tokens: int = 1000  # Least room for a whole file: 120 lines. A longer file may double.
    file_cases: int = 6  # Failing cases in a new question for the whole file
    file_escapes: int = 3  # Continuations of a reply that repeated itself
    file_stops: int = 4  # Stop texts: the beginnings of the tests in the prompt
    file_rounds: int = 24  # Rounds of whole files with other cases: as many as fit into ten minutes
    # Writing time of one round's files. Seven long files took 215 of 300 s, without a repair.
    file_seconds: float = 40.0

    # Ideas, functions, crossover.
    # Rounds of ideas. Without them, 54 of 56 whole files for one exercise took the same way.
    idea_rounds: int = 4
    idea_tokens: int = 240  # A list of six ideas
    idea_chars: int = 12  # Shorter lines are no ideas
    functions: int = 3  # Functions that are rewritten, the most suspicious first
    function_samples: int = 2
    body_samples: int = 3
    new_function_tokens: int = 600
    # Functions of other candidates tried in one best candidate. Each costs a check.
    transplants: int = 8

    # Infill.
    # Lines of a long file's start in an infill's prompt, then `infill_before` lines before the
    # place and `infill_after` lines after it: a tenth of a prompt with task and tests
    infill_head: int = 20
    infill_before: int = 120
    infill_after: int = 40
    infill_places: int = 12
    infill_samples: int = 12
    # Two lines. A longer line gets twice its tokens: one exercise failed on a cut line.
    infill_tokens: int = 48
    infill_note_chars: int = 200
    quick_places: int = 4  # Places of the first, greedy round
    near_places: int = 2  # Places that are sampled early where nearly all tests pass
    near_failures: float = 0.15  # Failing tests per passing test, at most, where "nearly all" pass

    # Mutation.
    mutation_lines: int = 8
    mutations_per_line: int = 8
    mutation_names: int = 4  # Other variables tried in the place of one
    # Time for the checks of one text's mutations: twenty lean checks of a second
    mutation_seconds: float = 20.0
    # A check counts as at least this long when that time is divided
    mutation_check_seconds: float = 0.5
    complements: int = 2  # Texts beside the best one that `mutate` changes
    # Guided by tests, 37 changes of a third of a second led from 5 to 20 of 20 tests on `say`.
    guided_lines: int = 24  # Lines in which `repair` looks for what failing tests report
    guided_texts: int = 4  # Texts that `repair` changes in one slot
    # Text differences that are tried, the most frequent in failing tests first
    guided_edits: int = 8

    # Candidates that only answer the tests' own inputs.
    plain_number: int = 20  # Honest programs compare with numbers up to this one, too
    plain_text: int = 4  # Honest programs compare with texts shorter than this, too
    special_cases: int = 1  # Special cases that an honest program may share with its tests


LOOP = LoopLimits()
SEARCH = SearchLimits()

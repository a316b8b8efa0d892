"""The limits of the agent loop and of the search, each with its source.

Measurements were made with the default model on two cores. ADR 6 lists the exercises and the
figures. A value without a measurement states its reason.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LoopLimits:
    """Limits of a turn: its replies, its steps, and the contents of its prompts."""

    steps: int = 40  # Most tool calls of a `react` turn: a model may never say "done"
    stumbles: int = 3  # Replies in a row without a new, usable call after which the turn ends
    act_tokens: int = 1200  # Longest reply of `react`: a `write` of about 120 lines
    answer_tokens: int = 600  # Longest answer to a question: a page of text
    # Purposes of replies that may begin with a thought. The search's edits are checked by tests
    # instead, and nobody waits for a thought about a title.
    thinking: tuple[str, ...] = ("plan", "answer", "act")
    plan_tokens: int = 400  # Longest plan: eight steps of 50 tokens
    plan_steps: int = 8  # Most steps of a plan. A small model loses track in a longer plan.
    # Most files that a plan's grammar offers; a large project offers its likeliest files
    plan_paths: int = 60
    # Share of the window for the code in a question's prompt. With a larger share, a small machine
    # reads the code for longer than a user waits.
    answer_share: float = 0.35
    # Longest wait of a question for an index that is still being built. On a busy machine 116 files
    # took more than 10 seconds, and the answer read no code.
    index_seconds: float = 60.0
    earlier_share: float = 0.1  # Share of the window for earlier questions and answers
    # What users see of the code in a prompt, on two or three lines: files, and excerpts of each
    places: int = 5
    place_spans: int = 4
    # Most sources of an answer that share words with it without being named by it
    sources_by_words: int = 2
    # Lines of a change that the next question's prompt has; its earlier messages are as long
    shown_changes: int = 20
    # Most files from earlier prompts that the next prompt names again
    repeated_files: int = 2
    output_chars: int = 4000  # Output of a check that the transcript keeps: the last screen
    # Lines of a failed check that `react` reads, at most `failure_chars` characters
    failure_lines: int = 20
    failure_chars: int = 1500
    # Longest search of a call `repair`: as long as a large model takes for some thirty steps
    repair_seconds: float = 180.0
    # Lines of output that a failing check of the user adds to the conversation: the end of most
    # reports
    shared_lines: int = 40
    # A reply repeats itself if its end consists of `units` equal pieces of at most `unit_chars`
    # characters that fill `span_chars`. Without this test, one chain of `.replace()` took 40 s.
    unit_chars: int = 80
    units: int = 5
    span_chars: int = 160
    # Real text rarely repeats a long piece, so fewer repetitions of a long piece are proof.
    long_unit_chars: int = 480
    long_units: int = 3
    repeat_anchor_chars: int = 64  # This much of the end must recur before a long piece is compared
    # Lines in a row that begin alike. Real code rarely has twenty such lines; a stuck model writes
    # `text = text.replace(…` until its limit.
    alike_lines: int = 20
    alike_prefix_chars: int = 12
    # Characters between two tests for repetition; one test takes longer than one token
    repeat_poll_chars: int = 64


@dataclass(frozen=True, slots=True)
class SearchLimits:
    """Limits of the search for a change that passes the check."""

    # Schedule.
    # Most files that a search tries, one after another. Each file gets half of the remaining time.
    targets: int = 3
    # Lines of a file above which the search edits it function by function: a rewrite takes minutes
    # and loses lines
    whole_file_lines: int = 150
    # Paragraphs of a text that the search rewrites, the one that shares most words with the task
    # first, and the tokens that a paragraph may grow by
    text_passages: int = 3
    passage_tokens: int = 200
    # Smallest share of its lines that a text keeps when it is written anew. The default model kept
    # 65 of 165 lines of a README in which it should correct one word.
    kept_lines: float = 0.8
    # Lines of a file below which the search rewrites it even if some tests pass: a rewrite takes
    # seconds
    repair_lines: int = 10
    # Seconds without a further fixed test after which a file's search ends in favor of the next
    # file, with its best change in place
    next_file_seconds: float = 30.0
    # Share of the time for the main model, if another has the role "repair": what it solves, it
    # solves early
    main_share: float = 0.5
    # A first, short search in each of several files gets the time limit divided by this number
    quick_part: int = 12

    # The check of a candidate.
    # A candidate's check may take this many times as long as the first check. The limit ends the
    # endless loops that small models write.
    check_slowdown: float = 4.0
    # Shortest time limit of a candidate's check: a loaded machine slows short checks most
    check_seconds: float = 15.0
    # Timed-out candidates in a row after which the check itself counts as hung
    timeouts: int = 3
    lean_seconds: float = 0.5  # A shorter check gains no time without plug-ins
    # In a longer check, the tests take most of the time, not the plug-ins
    lean_max_seconds: float = 5.0
    # A check without plug-ins must take at most this share of the full check's time. In one
    # exercise, loading hypothesis and xdist took 0.7 s of the check's 0.9 s.
    lean_gain: float = 0.7

    # Finding the file.
    # Most files whose lines the probe traces; one environment variable holds their names
    traced_files: int = 2000
    # Most failure messages in the index query; more messages would outweigh the task's words
    query_failures: int = 5
    query_output_chars: int = 4000
    index_hits: int = 10
    # Lines of a suspicious function before lines of the next one: the right line is mostly among
    # the first five of its function, and the right function among the first three
    lines_at_once: int = 6
    # The first functions whose constants of the module are changed, too: a wrong pattern or number
    # stands there, and runs before the tests
    constant_functions: int = 3
    # Most files from which the model chooses one; it sees `outline_names` names of each
    choices: int = 6
    outline_names: int = 12

    # The prompt of a search.
    prompt_thirds: int = 2  # Thirds of the window for the prompt; the reply needs the rest
    # Most tokens of files in a prompt where no test fails: 20 s of reading on two cores. Two thirds
    # of the window were 3,300 tokens of one module of click.
    task_tokens: int = 1400
    # Share of the prompt for a file too long to be shown whole; the rest is for tests and prose
    file_share: float = 0.75
    # Tokens of the chat template and of headings; also the smallest useful part of a file
    prompt_reserve: int = 80
    # Tokens of condensed tests above which only the failing tests are shown: no exercise has more
    test_tokens: int = 1200
    passages: int = 50
    failures: int = 3  # Most failing tests in a prompt. A small model works only on the first few.
    # Most imports from a failing test to a file that it may run: the module that a test is about
    # rarely imports the fault from farther away.
    import_distance: int = 3
    failure_output_lines: int = 15
    failure_output_chars: int = 1200

    # Whole files.
    # Least tokens for a reply with a whole file: 120 lines. A longer file may double in size.
    file_tokens: int = 1000
    file_cases: int = 6  # Most failing cases in a repeated question for the whole file
    file_escapes: int = 3  # Most attempts to continue a reply that repeats itself
    file_stops: int = 4  # Most stop texts, which are the first lines of tests in the prompt
    # Most rounds of whole files with other failing cases: as many as fit into ten minutes
    file_rounds: int = 24
    # Seconds to write the files of one round. A round of seven long files took 215 of 300 s, and no
    # file was repaired.
    file_seconds: float = 40.0

    # Ideas, functions, crossover.
    # Rounds of ideas. Without ideas, 54 of 56 whole files for one exercise used the same approach.
    idea_rounds: int = 4
    idea_tokens: int = 240  # Most tokens of a list of six ideas
    idea_chars: int = 12  # A list item with fewer characters is not an idea
    functions: int = 3  # Most functions that the search rewrites, starting with the most suspicious
    function_samples: int = 2
    body_samples: int = 3
    # Rounds of new bodies for one text, each with other cases. A body costs a third of a file that
    # has three functions.
    body_rounds: int = 5
    body_tokens: int = 60  # Tokens that a new body may have beyond twice the old body
    body_cases: int = 4  # Most failing cases above a function whose body is written anew
    new_function_tokens: int = 600
    # Most functions of other candidates to try in one best candidate. Each trial runs a check.
    transplants: int = 8

    # Infill.
    # An infill's prompt shows a file of at most this many lines whole: about 500 tokens
    infill_file: int = 50
    # Of a longer file, it has so many lines before the place and after it, inside the function.
    # In 120 places of libraries, such a prompt has 207 tokens at the median and at most 507. With
    # 160 lines it had 1,321 at the median.
    infill_before: int = 36
    infill_after: int = 10
    infill_docstring: int = 6  # Longest docstring that it shows
    infill_calls: int = 6  # Most signatures of functions, and of methods, that it shows
    infill_places: int = 12
    infill_samples: int = 12
    # Tokens of two lines. A longer line gets twice its own tokens: one exercise failed on a cut
    # line.
    infill_tokens: int = 48
    infill_note_chars: int = 200
    quick_places: int = 4  # Most places in the first round, which is greedy
    near_places: int = 2  # Most places that are sampled early if nearly all tests pass
    # "Nearly all tests pass" allows this many failing tests per passing test
    near_failures: float = 0.15

    # Alternatives: the other likely tokens of a function's places.
    alternative_functions: int = 3  # Most functions of one text that the model reads
    alternative_lines: int = 60  # Most lines of a function that it reads
    alternative_options: int = 5  # Likely tokens of a place
    alternative_tokens: int = 150  # Most candidates from tokens alone
    # Tokens that the model continues to the line's end; 16 side by side take two seconds
    alternative_branches: int = 48
    alternative_line_tokens: int = 16  # Most tokens of such a line's end
    alternative_guards: int = 8  # Conditions for whose block the model writes a line
    alternative_guard_tokens: int = 24  # Most tokens of such a line: an exception with its message
    alternative_edits: int = 400  # Most further candidates, from these lines and tokens
    # Candidates of the first batch; later ones take `alternative_batch_seconds` at the same rate
    alternative_first: int = 8
    alternative_batch: int = 100  # Most candidates of a batch
    alternative_batch_seconds: float = 2.0
    alternative_seconds: float = 15.0  # Seconds for tokens alone, and for the lines' ends

    # Mutation.
    mutation_lines: int = 8
    mutations_per_line: int = 8
    # The first change of a line waits until the lines before it have had so many. The lines are
    # those of one place in `lines_at_once`, then twice as many, and so on.
    mutation_lag: int = 2
    mutation_names: int = 4  # Most other variables to try in place of one variable
    # Seconds for checking one text's mutations: twenty checks of a second, without plug-ins
    mutation_seconds: float = 20.0
    # A check counts as at least this many seconds when `mutation_seconds` is divided
    mutation_check_seconds: float = 0.5
    # After a change that helps, forks try the other changes of the same text for so long: the one
    # that fixes all may be among them
    mutation_more_seconds: float = 8.0
    complements: int = 2  # Most texts that `mutate` changes besides the best one
    equals: int = 2  # Most texts that it changes because they pass as many tests as the best one
    # In the exercise `say`, 37 changes guided by tests raised the passed tests from 5 to 20 of 20.
    # Each change took a third of a second.
    # Most lines in which `guided_mutation` looks for the values that failing tests report
    guided_lines: int = 24
    guided_texts: int = 4  # Most texts that `guided_mutation` changes in one slot
    # Most text differences to try, starting with the most frequent in failing tests
    guided_edits: int = 8

    # Least sum of nearness that a change must gain in forks to be checked
    least_gain: float = 0.01

    parameters: int = 8  # Most ways of using a new parameter; each is a check

    # Candidates that hard-code answers to the tests' inputs.
    # Programs without hard-coded answers also compare with numbers up to this value
    plain_number: int = 20
    # Programs without hard-coded answers also compare with texts shorter than this
    plain_text: int = 4
    # Special cases that a program without hard-coded answers may share with its tests
    special_cases: int = 1


@dataclass(frozen=True, slots=True)
class ForkLimits:
    """Limits of the fork server, which judges small changes."""

    # A change in forks takes 10 to 30 ms, a check of a library 1 to 5 s
    server_seconds: float = 3600.0  # Longer than any search; the search ends its server
    memory_bytes: int = 2 << 30  # For each process; two forks run side by side
    output_bytes: int = 16 << 20  # All replies of a server: 100,000 of 160 bytes
    write_seconds: float = 5.0  # A server that reads no request for so long hangs
    poll_seconds: float = 0.2  # Between two looks at the turn's limits
    grace_seconds: float = 5.0  # A loaded machine delays replies
    # Text of a check beside the replies. All of pytest's output is dropped, so more means that the
    # check does something else.
    noise_chars: int = 2 << 20
    # Longest collection of the tests: seconds, and as a multiple of the whole check
    start_seconds: float = 10.0
    start_slowdown: float = 2.0
    starts: int = 3  # Most servers of a turn that end or are no use
    # A longer check is not run for a reply that fixes no test in a fork, only to compare messages
    slow_check_seconds: float = 1.0
    # Fewer changes of a text than these are checked one by one, unless its server runs already
    least_changes: int = 8
    # Most tests in one fork: first of those that fail, then of those that run the changed lines
    failing_tests: int = 12
    round_seconds: float = 0.15  # For the failing tests of one change
    passing_tests: int = 100
    # Most tests to add from one check that refuted a change: those that it broke elsewhere
    watched_tests: int = 20
    # A change may take this many times as long as no change, within `least_seconds` and
    # `most_seconds`. Every twentieth mutation never ends.
    slowdown: float = 5.0
    least_seconds: float = 1.0
    most_seconds: float = 10.0
    batch: int = 200  # Changes that a strategy proposes at once: two to six seconds
    # Time for the changes of a batch that need a new import, such as defaults; each takes as long
    # as the project's imports
    fresh_seconds: float = 4.0


@dataclass(frozen=True, slots=True)
class MigrationLimits:
    """Limits of a migration that splits a column."""

    # For one job: the upgrade, downgrade and upgrade of a million rows take about a minute
    seconds: float = 120.0
    rounds: int = 3  # Rounds of functions; each reports the last round's fault to the model
    # Functions of a round. The largest group that splits alike wins, because most errors differ.
    samples: int = 4
    function_tokens: int = 200  # A function of fifteen lines
    mistakes: int = 2  # Most faults in a prompt: a small model works on the first only
    # Most values that may not join back. They stay whole, and the user reads them.
    odd_share: float = 0.05
    query_samples: int = 4  # Most replies for one function with a query; the first is greedy
    query_rounds: int = 2  # A function that passes alone may fail beside another
    query_tokens: int = 300  # A function of twenty lines
    literals: int = 40  # Most texts of the tests that may become the new test's value


LOOP = LoopLimits()
SEARCH = SearchLimits()
MIGRATION = MigrationLimits()
FORKS = ForkLimits()

"""Drafts: what follows an earlier place that ended alike, where a step of that size pays."""

from localagent.models.llamacpp.worker.prompt_lookup import SIZES, Drafter

PATTERN = list(range(100, 140))


def drafter(cost: float = 0.1) -> Drafter:
    """A drafter that knows that each further row costs `cost` of a step."""
    made = Drafter()
    for size in (1, *SIZES):
        made.record_step(size, 1 + cost * (size - 1))
    return made


def test_a_draft_is_what_followed_the_latest_place_that_ended_alike() -> None:
    tokens = [*PATTERN, 1, 2, *PATTERN, 3, 4, *PATTERN]
    assert list(drafter().draft(tokens, 100))[:2] == [3, 4]


def test_nothing_is_drafted_without_a_match_or_before_a_step_was_measured() -> None:
    assert list(drafter().draft(PATTERN, 100)) == []
    assert list(drafter().draft([1, 2], 100)) == []
    assert list(drafter().draft([], 100)) == []
    assert list(Drafter().draft(PATTERN * 2, 100)) == []


def test_a_match_is_of_whole_tokens() -> None:
    # The bytes of these numbers contain each other's out of step.
    tokens = [0x01020304, 0x05060708, 0x090A0B0C, 0x0D0E0F10, 0x06070801, 0x0A0B0C05]
    assert list(drafter().draft([*tokens, *tokens[:2]], 100)) == []


def test_the_size_follows_what_steps_cost() -> None:
    tokens = [*PATTERN, 1, *PATTERN]
    assert len(drafter(0.02).draft(tokens, 100)) == SIZES[-1] - 1
    assert list(drafter(1.0).draft(tokens, 100)) == []


def test_the_room_limits_a_draft() -> None:
    tokens = [*PATTERN, 1, *PATTERN]
    assert len(drafter(0.02).draft(tokens, 6)) == 3
    assert list(drafter(0.02).draft(tokens, 2)) == []


def test_drafts_that_are_wrong_are_given_up_and_right_ones_make_them_longer() -> None:
    tokens = [*PATTERN, 1, *PATTERN]
    made = drafter(0.2)
    first = len(made.draft(tokens, 100))
    for _ in range(20):
        made.draft(tokens, 100)
        made.adapt(3, 0)
    assert list(made.draft(tokens, 100)) == []
    for _ in range(40):
        made.adapt(3, 3)
    assert len(made.draft(tokens, 100)) >= first


def test_one_slow_step_does_not_change_what_pays() -> None:
    made = drafter(0.1)
    tokens = [*PATTERN, 1, *PATTERN]
    before = len(made.draft(tokens, 100))
    made.record_step(16, 1000.0)
    made.record_step(1, 0.9)
    assert len(made.draft(tokens, 100)) in (before, 11, 7)

"""Whether a trial is worth its tokens: the rules by themselves."""

from __future__ import annotations

import math

import pytest

from sweeper.search.peer_rules import Passage, Peers, judge_by_halving, judge_by_lag

START, TOTAL = 6.0, 100_000
RUNGS = (1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000)


def loss(tokens: float, slowness: float = 1.0) -> float:
    """A curve of the form that all share, gone along so many times as slowly."""
    return START - 2.0 * (1 - math.exp(-((tokens / slowness / 30_000) ** 0.6)))


def led_by(slowness: float, *, up_to: int = TOTAL) -> Peers:
    curve = [(t, loss(t, slowness)) for t in (0, *RUNGS, TOTAL) if t <= up_to]
    return Peers(lambda: None, lambda _: [], lambda _: [curve])


def ended_at(slowness: float, peers: Peers) -> int | None:
    """Tokens at which a trial is ended; None where it comes to its end."""
    passages: list[Passage] = []
    for rung, tokens in enumerate(RUNGS, start=1):
        passages.append(Passage(tokens, TOTAL, rung, loss(tokens, slowness), START))
        if judge_by_lag(passages, peers):
            return tokens
    return None


@pytest.mark.parametrize("slowness", [0.3, 0.9, 1.0, 1.05, 1.1])
def test_whoever_may_still_catch_up_goes_on(slowness: float) -> None:
    assert ended_at(slowness, led_by(1.0)) is None


def test_the_slower_the_sooner_it_ends() -> None:
    ends = [ended_at(slowness, led_by(1.0)) for slowness in (3.0, 6.0, 12.0, 100.0)]
    assert None not in ends
    assert ends == sorted(ends, reverse=True)
    assert ends[-1] == RUNGS[0]


def test_nobody_has_to_do_better_than_the_leaders_have_done() -> None:
    """One that runs has reached little yet: only who will not even come there is ended."""
    assert ended_at(12.0, led_by(1.0, up_to=4_000)) is None
    assert ended_at(200.0, led_by(1.0, up_to=4_000)) is not None


def test_without_leaders_or_with_such_as_gained_nothing_all_go_on() -> None:
    assert ended_at(100.0, Peers(lambda: None, lambda _: [], lambda _: [])) is None
    flat = [(tokens, START + 0.1) for tokens in RUNGS]
    assert ended_at(100.0, Peers(lambda: None, lambda _: [], lambda _: [flat])) is None


def test_each_leads_by_itself() -> None:
    """One that was quick at first and got no farther ends nobody who will come as far."""
    quick = [(1_000, START - 0.9), (2_000, START - 1.0), (TOTAL, START - 1.0)]
    lowest = [(t, loss(t, 1.0)) for t in (0, *RUNGS, TOTAL)]
    both = Peers(lambda: None, lambda _: [], lambda _: [quick, lowest])
    assert ended_at(1.05, both) is None


def test_one_whose_steps_are_wide_says_nothing_of_what_was_before_its_first() -> None:
    wide = Peers(lambda: None, lambda _: [], lambda _: [[(32_000, 4.5), (64_000, 4.1)]])
    early, late = Passage(16_000, TOTAL, 2, START, START), Passage(32_000, TOTAL, 4, START, START)
    assert judge_by_lag([early], wide) is None
    assert judge_by_lag([early, late], wide) is not None


def test_a_jump_does_not_take_back_what_was_gained() -> None:
    """The spike rule judges jumps; a rate that falls may bring the loss back."""
    before = Passage(32_000, TOTAL, 6, loss(32_000), START)
    jumped = Passage(33_000, TOTAL, 7, START + 1, START)
    assert judge_by_lag([before, jumped], led_by(1.0)) is None


def test_evidence_tells_place_end_and_what_was_reached() -> None:
    passage = Passage(8_000, TOTAL, 4, loss(8_000, 20.0), START)
    stop = judge_by_lag([passage], led_by(1.0))
    assert stop is not None
    assert stop.evidence == (
        "val loss 5.8555 after 8,000 tokens, which took a leader 785; 1.25 times as fast from here "
        "it would end at 5.1248, above the 4.2551 that the leader has reached"
    )


def test_halving_leaves_rungs_before_the_first_whole_one_alone() -> None:
    def at_rung(tokens: int) -> list[float]:
        raise AssertionError("asked")

    early = Passage(500, TOTAL, 0, 9.0, START)
    assert judge_by_halving([early], Peers(lambda: None, at_rung, lambda _: [])) is None

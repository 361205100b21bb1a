"""The best recipes on other seeds, in words: what was promised, what is left."""

from __future__ import annotations

from dataclasses import dataclass

from sweeper.reports import words
from sweeper.search.results import StudyResults
from sweeper.search.verifying.curse import Curse, TopRecipes, read_top
from sweeper.statistics import PairedEffect


@dataclass(frozen=True)
class WinnerRow:
    """One of the best recipes, or their mean, as plain words."""

    name: str
    promised: str
    found: str
    interval: str
    removed: str
    removed_interval: str


def winner_rows(results: StudyResults) -> list[WinnerRow]:
    """The best recipes in the search's order, then their mean."""
    top = read_top(results)
    rows = [_row(f"trial {curse.trials[0]}", curse) for curse in top.curses]
    return rows if top.mean is None else [*rows, _row("mean of these", top.mean)]


def _row(name: str, curse: Curse) -> WinnerRow:
    return WinnerRow(
        name=name,
        promised=words.nats_change(curse.promised),
        found=words.nats_change(curse.found.mean),
        interval=_between(curse.found.low, curse.found.high),
        removed=words.nats_change(curse.removed),
        removed_interval=_between(*curse.interval),
    )


def winner_sentences(results: StudyResults) -> str:
    """What the search's best gains on other seeds, and what its promise had of luck."""
    top = read_top(results)
    if not top.curses:
        return _diverged(top)
    said = [_first(top.curses[0]), _diverged(top), _all(top), _best(top), _meaning(results)]
    return " ".join(filter(None, said))


def _diverged(top: TopRecipes) -> str:
    """What has no mean is the gravest that other seeds can say."""
    return " ".join(
        f"Trial {one.trial}, of the best in the search, diverged on {one.num_diverged} of "
        f"{words.plural(one.num_seeds, 'seed')} and is left out here."
        for one in top.diverged
    )


def _first(curse: Curse) -> str:
    found = curse.found
    return (
        f"In the search trial {curse.trials[0]} ended {_lead(curse.promised)} the baseline, one "
        f"seed for each. On {words.plural(found.num_pairs, 'seed')} that no trial had it ends "
        f"{_lead(found.mean)} it ({_level(found)} interval {_between(found.low, found.high)}). "
        f"The winner's curse that this removed is {words.nats_change(curse.removed)} nats "
        f"({_between(*curse.interval)}){_luck(curse)}."
    )


def _luck(curse: Curse) -> str:
    low, high = curse.interval
    if low > 0:
        return ": so much of its lead was luck"
    return ": it does better than it was picked for" if high < 0 else ", which may be none"


def _all(top: TopRecipes) -> str:
    if top.mean is None:
        return ""
    mean = top.mean
    return (
        f"Over all {len(mean.trials)} the search promised {words.nats_change(mean.promised)} on "
        f"average and {words.nats_change(mean.found.mean)} is there, so the curse is "
        f"{words.nats_change(mean.removed)} nats ({_between(*mean.interval)})."
    )


def _best(top: TopRecipes) -> str:
    effect = top.best_effect
    if effect is None:
        return ""
    return (
        f"On the {words.plural(effect.num_pairs, 'seed')} that they share trial {top.best} ends "
        "lowest. To name it so is to pick again, so its interval is one of which all of theirs "
        f"hold together ({_level(effect)} each): {_between(effect.low, effect.high)} nats from "
        "the baseline. That it is better than the others of them was not tested."
    )


def _meaning(results: StudyResults) -> str:
    data = results.spec.data
    documents = " and of the validation documents" if data is not None and data.test else ""
    return (
        f"The curse holds the luck of both trials' seeds{documents}. What the search reported is "
        "a known number, so the curse's interval is the lead's on other seeds, moved by it."
    )


def _lead(difference: float) -> str:
    return f"{words.nats(abs(difference))} nats {'below' if difference < 0 else 'above'}"


def _between(low: float, high: float) -> str:
    return f"{words.nats_change(low)} to {words.nats_change(high)}"


def _level(effect: PairedEffect) -> str:
    return words.level(effect.level)

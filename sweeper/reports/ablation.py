"""The ablation in words: what each change of the best recipe does, and which carried the gain."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sweeper.reports import words
from sweeper.reports.verdicts import p_words
from sweeper.search.results import StudyResults
from sweeper.search.verifying.ablation import Ablation, ChangeEffect, Shift, read_ablation
from sweeper.statistics import PairedEffect


@dataclass(frozen=True)
class AblationRow:
    """One change as plain words: with it less without it, in the best recipe and alone."""

    change: str
    without: str
    without_p: str
    only: str
    only_p: str
    interaction: str
    interaction_p: str
    importance: str


def ablation_rows(results: StudyResults) -> list[AblationRow]:
    """All changes, that which gains the most in the best recipe first."""
    ablation = read_ablation(results.verification)
    if ablation is None:
        return []
    return [_row(results, ablation, change) for change in by_gain(ablation)]


def by_gain(ablation: Ablation) -> list[ChangeEffect]:
    """The changes, that which gains the most in the best recipe first, those unknown last."""
    return sorted(ablation.changes, key=lambda c: _mean(c.without))


def _mean(shift: Shift) -> float:
    return math.inf if shift.effect is None else shift.effect.mean


def _row(results: StudyResults, ablation: Ablation, change: ChangeEffect) -> AblationRow:
    importance = importance_of(results, change)
    return AblationRow(
        change=_change_words(results, ablation, change),
        without=_shift_words(change.without),
        without_p=p_words(change.without.p_value),
        only=_shift_words(change.only),
        only_p=p_words(change.only.p_value),
        interaction=_shift_words(change.interaction),
        interaction_p=p_words(change.interaction.p_value),
        importance=words.ABSENT if importance is None else f"{importance:.0%}",
    )


def importance_of(results: StudyResults, change: ChangeEffect) -> float | None:
    """PED-ANOVA's, of all hyperparameters of a change together; None where none was searched."""
    known = [results.importances[name] for name in change.names if name in results.importances]
    return math.fsum(known) if known else None


def _change_words(results: StudyResults, ablation: Ablation, change: ChangeEffect) -> str:
    best = next((t.hyperparameters for t in results.trials if t.number == ablation.trial), {})
    baseline = results.spec.baseline_hyperparameters.model_dump()
    return ", ".join(
        f"{name} {words.value_words(baseline[name])} \u2192 {words.value_words(best.get(name))}"
        for name in change.names
    )


def _shift_words(shift: Shift) -> str:
    if shift.num_diverged:
        return f"diverged on {words.plural(shift.num_diverged, 'seed')}"
    effect = shift.effect
    if effect is None:
        return words.ABSENT
    return f"{words.nats_change(effect.mean)} ({_between(effect)})"


def ablation_sentences(results: StudyResults) -> str:
    """Which change carried the gain, whether changes need each other, and by which rule."""
    verification = results.verification
    if verification is None or not verification.plan.ablate:
        return ""
    ablation = read_ablation(verification)
    if ablation is not None:
        said = [_carrier(ablation), _divergences(ablation), _interactions(ablation)]
        return " ".join([*filter(None, said), _rule(ablation)])
    if any(arm.place == 1 for arm in verification.plan.arms) and not verification.plan.ablation:
        return (
            "No ablation: the best recipe is one change away from the baseline, so the comparison "
            "with it is that change's effect."
        )
    return ""


def _carrier(ablation: Ablation) -> str:
    whole, first = ablation.whole.effect, by_gain(ablation)[0]
    start = f"On {words.plural(ablation.num_seeds, 'seed')} "
    if whole is None or first.without.effect is None:
        return f"{start}too few runs came to a finite loss to say which change carried the gain."
    text = (
        f"{start}the best recipe (trial {ablation.trial}) less the baseline is "
        f"{words.nats_change(whole.mean)} nats ({_between(whole)}). "
    )
    if first.without.effect.mean >= 0:
        return f"{text}No change carried it: taken back alone, none costs anything on average."
    name = " with ".join(first.names)
    text += (
        f"{name} carried the most of it: in the best recipe it makes "
        f"{words.nats_change(first.without.effect.mean)} ({_between(first.without.effect)}; "
        f"p {_p(first.without)})"
    )
    if first.only.effect is None:
        return f"{text}."
    return (
        f"{text}, alone in the baseline {words.nats_change(first.only.effect.mean)} "
        f"({_between(first.only.effect)}; p {_p(first.only)})."
    )


def _divergences(ablation: Ablation) -> str:
    """An infinite loss has no place among means, but is the gravest that a change can prevent."""
    return " ".join(
        f"Without {' with '.join(change.names)} the best recipe diverges on "
        f"{change.without.num_diverged} of {words.plural(ablation.num_seeds, 'seed')}."
        for change in ablation.changes
        if change.without.num_diverged
    )


def _interactions(ablation: Ablation) -> str:
    alpha = 1 - ablation.level
    found = [
        " with ".join(c.names)
        for c in ablation.changes
        if c.interaction.p_value is not None and c.interaction.p_value <= alpha + 1e-12
    ]
    if found:
        verb = "acts" if len(found) == 1 else "act"
        return f"{', '.join(found)} {verb} otherwise alone than beside the other changes."
    return (
        "That changes do something else together than alone could not be told from chance, which "
        "does not show that they do not."
    )


def _rule(ablation: Ablation) -> str:
    return (
        "Each change was taken back from the best recipe, and made alone in the baseline, on the "
        f"{ablation.num_seeds} seeds of the first look, a fixed number looked at once; a recipe "
        "that was trained there already was not trained again. Effects are the loss with a "
        "change less the loss without it, paired by seed, the unit of replication; an interaction "
        "is the effect in the best recipe less that alone. Intervals are those of the "
        f"verdicts, at {words.level(ablation.level)}, each by itself: all of them together hold "
        "less often. p-values hold together (Holm) over the effects of both directions, and again "
        "over the interactions; they are no part of the verdicts' error rate. The change named "
        "first was picked for its mean: its p-value allows for that, its mean and its interval do "
        "not. All of it assumes what the verdicts assume. PED-ANOVA's importance tells how much a "
        "hyperparameter decided over the whole search, not between these two recipes."
    )


def _p(shift: Shift) -> str:
    text = p_words(shift.p_value)
    return text if text.startswith("<") else f"= {text}"


def _between(effect: PairedEffect) -> str:
    return f"{words.nats_change(effect.low)} to {words.nats_change(effect.high)}"

"""Recipes between the baseline and the best one: each change taken back, and each made alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sweeper.search.drawing.space import as_plain
from sweeper.study import Hyperparameters, StudySpec, with_changes

Direction = Literal["without", "only"]

# What has no meaning while another hyperparameter has a certain value.
_IDLE_WHILE: dict[str, tuple[str, object]] = {
    "warmup_start_factor": ("warmup", 0),
    "floor_factor": ("schedule", "constant"),
}


@dataclass(frozen=True)
class Variant:
    """The best recipe without one change, or the baseline with only that one.

    Attributes:
        names: The hyperparameters of the change, most often one.
        direction: `without` it from the best, or `only` it from the baseline.
        hyperparameters: The recipe; each seed of the plan replaces the recipe's.
        source: Key of the recipe whose losses these are: its own, or that of the same experiment.
    """

    names: tuple[str, ...]
    direction: Direction
    hyperparameters: dict[str, Any]
    source: str

    @property
    def key(self) -> str:
        """Stands for it among all recipes of a plan."""
        return f"{self.direction}:{'+'.join(self.names)}"


def changes_between(
    baseline: Hyperparameters, best: Hyperparameters, *, has_splits: bool = False
) -> list[tuple[str, ...]]:
    """In what two recipes differ, one change each, in the order of the fields.

    A hyperparameter that has no meaning in one of them, such as the floor of a constant schedule,
    is one change with that on which it hangs; one without a meaning in both is none. Micro-batch
    and accumulation are one change where both differ, for their product alone has an effect; with
    the same product they are none.

    Args:
        baseline: A recipe.
        best: Another.
        has_splits: Whether how a batch is split has an effect of its own, as it may in a command.
    """
    names = [
        name
        for name in Hyperparameters.key_names()
        if name != "seed" and getattr(baseline, name) != getattr(best, name)
    ]
    changes = {name: [name] for name in names if _num_active(name, baseline, best) == 2}
    for name in names:
        if _num_active(name, baseline, best) == 1:
            changes[_IDLE_WHILE[name][0]].append(name)
    if not has_splits and changes.keys() >= {"batch_size", "accumulation"}:
        changes["batch_size"] += changes.pop("accumulation")
        if baseline.effective_batch == best.effective_batch:
            del changes["batch_size"]
    return [tuple(change) for change in changes.values()]


def _num_active(name: str, *recipes: Hyperparameters) -> int:
    if name not in _IDLE_WHILE:
        return len(recipes)
    other, idle = _IDLE_WHILE[name]
    return sum(getattr(recipe, other) != idle for recipe in recipes)


def variants_between(
    spec: StudySpec, best: Hyperparameters, trained: Mapping[str, str]
) -> tuple[Variant, ...]:
    """All variants of a study's best recipe; none where it is one change or less from the baseline.

    Args:
        spec: The study.
        best: Its best recipe.
        trained: Keys of the recipes that are trained on the same seeds anyway, by their
            experiments; the baseline and the best among them.
    """
    baseline = spec.baseline_hyperparameters
    changes = changes_between(baseline, best, has_splits=spec.command is not None)
    if len(changes) < 2:
        return ()
    known, found = dict(trained), []
    ways: tuple[tuple[Direction, Hyperparameters, Hyperparameters], ...] = (
        ("without", best, baseline),
        ("only", baseline, best),
    )
    for names in changes:
        for direction, start, other in ways:
            recipe = with_changes(start, {name: getattr(other, name) for name in names})
            plain = dict(as_plain(recipe))
            own = Variant(names, direction, plain, "").key
            source = known.setdefault(experiment_but_for_seed(spec, plain), own)
            found.append(Variant(names, direction, plain, source))
    return tuple(found)


def experiment_but_for_seed(spec: StudySpec, hyperparameters: Mapping[str, object]) -> str:
    """One text for all recipes that are one on the plan's seeds, which replace their own."""
    return spec.experiment_of(Hyperparameters.model_validate({**hyperparameters, "seed": 0}))

"""Other seeds for what a search has found: the plan, and the studies that carry it out.

A plan is made once, when the search is over, and kept: which recipes are compared with the
baseline, on which seeds, and when they are looked at. Each look is a study of its own, a list of
recipes without any pruning, in a folder of this study's; so it runs, resumes and is recorded as
every other study is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sweeper.errors import StorageError
from sweeper.files import write_durably
from sweeper.search.drawing.space import as_plain
from sweeper.search.verifying.variants import Variant
from sweeper.study import Hyperparameters, StudySpec, spec_from_plain, spec_to_plain, with_changes

BASELINE = "baseline"  # stands beside the arms' keys
FOLDER = "verify"


@dataclass(frozen=True)
class Arm:
    """A recipe that is compared with the baseline.

    Attributes:
        hypothesis: The hypothesis's name; None for a recipe that only the search found.
        hyperparameters: Its recipe; each seed of the plan replaces the recipe's.
        expects: `<` or `>`, the side of the baseline's loss on which it is expected.
        trial: Number of the search's trial with this recipe.
        metric: What is compared: `val_loss`, in nats on other seeds, or `speed`, in tokens a
            second.
        place: Among the best experiments of the search, from 1; None where it is not of those
            that the plan took up.
    """

    hypothesis: str | None
    hyperparameters: dict[str, Any]
    expects: str
    trial: int
    metric: str = "val_loss"
    place: int | None = None

    @property
    def key(self) -> str:
        """Stands for it among all arms, whatever its hypothesis is called."""
        if self.hypothesis is not None:
            return f"hypothesis:{self.hypothesis}"
        return "best" if self.place in (None, 1) else f"best:{self.place}"


@dataclass(frozen=True)
class Plan:
    """What is compared, on which seeds, and when it is looked at.

    Attributes:
        pairs: Seeds at each look.
        alpha: Chance of any wrong verdict.
        seeds: As many as the last look needs; no trial of the search had any of them, nor had
            a plan before this one.
        arms: What is compared with the baseline.
        turns: How often the speed of each is measured, where an arm is about speed.
        top: How many of the best recipes were asked for.
        ablate: Whether an ablation was asked for.
        ablation: The recipes between baseline and best; each has the seeds of the first look.
        smallest: Difference of losses that matters, in nats.
        num_before: Plans of this study that were begun before it and given up.
    """

    pairs: tuple[int, ...]
    alpha: float
    seeds: tuple[int, ...]
    arms: tuple[Arm, ...]
    turns: int
    top: int = 1
    ablate: bool = False
    ablation: tuple[Variant, ...] = ()
    num_before: int = 0
    smallest: float = 0.0

    @property
    def ablation_keys(self) -> list[str]:
        """Of the variants that are no experiment of another key."""
        return [variant.key for variant in self.ablation if variant.source == variant.key]

    def seeds_of(self, look: int | None) -> tuple[int, ...]:
        """The seeds that a look adds to those before it; for the ablation, those of the first."""
        if look is None:
            return self.seeds[: self.pairs[0]]
        first = self.pairs[look - 1] if look else 0
        return self.seeds[first : self.pairs[look]]


def read_plan(spec: StudySpec) -> Plan | None:
    """The plan that was begun; None where there is none.

    Raises:
        StorageError: It is damaged.
    """
    path = verification_folder(spec) / "plan.json"
    if not path.is_file():
        return None
    try:
        plain = json.loads(path.read_bytes())
        listed = {
            "pairs": tuple(plain["pairs"]),
            "seeds": tuple(plain["seeds"]),
            "arms": tuple(Arm(**arm) for arm in plain["arms"]),
            "ablation": tuple(
                Variant(**(variant | {"names": tuple(variant["names"])}))
                for variant in plain.get("ablation", ())
            ),
        }
        return Plan(**(plain | listed))
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"{path.name} in {spec.output_folder.name}/{FOLDER} is damaged. Remove the folder to "
            "verify again"
        ) from error


def keep_plan(spec: StudySpec, plan: Plan) -> None:
    """Write a plan down, for good."""
    folder = verification_folder(spec)
    folder.mkdir(parents=True, exist_ok=True)
    write_durably(folder / "plan.json", json.dumps(asdict(plan), indent=2).encode())


def verification_folder(spec: StudySpec) -> Path:
    """Where a study's plan and its looks lie."""
    return spec.output_folder / FOLDER


def look_study(spec: StudySpec, plan: Plan, look: int | None, keys: Sequence[str]) -> StudySpec:
    """The study of a look: for each of its seeds the baseline and then some arms.

    That of the ablation is the variants alone: the looks have trained baseline and best.

    Args:
        spec: The study that is verified.
        plan: Its plan.
        look: Number of the look, from 0; None for the ablation.
        keys: Of the arms that are not decided before it, or of the variants.
    """
    baseline, *others = look_recipes(spec, plan, look, keys)
    recipe = dict(as_plain(baseline[2]))
    plain: dict[str, Any] = spec_to_plain(spec)
    plain |= {
        "name": f"{spec.folder_name}.{_part(plan, look)}",
        "baseline": {"hyperparameters": recipe, "recorded": None},
        "space": {},
        "search": {"sampler": "list"},
        "trials": [_changes(recipe, dict(as_plain(other))) for _, _, other in others],
        "prune": {"spike": "off", "plateau": "off", "peers": "off"},
        "evaluate": {**plain["evaluate"], "split": judged_split(spec)},
        "hypotheses": [],
        "verify": None,
        "artifacts": None,  # a look is trained where its plan lies
        "budget": {
            "trials": 1 + len(others),
            "tokens_per_trial": spec.budget.tokens_per_trial,
        },
        "output": os.path.relpath(verification_folder(spec), spec.folder),
    }
    return spec_from_plain(plain, spec.path)


def _part(plan: Plan, look: int | None) -> str:
    if look is None:
        return "ablation"
    first = plan.pairs[look - 1] if look else 0
    return f"seeds-{first + 1}-{plan.pairs[look]}"


def judged_split(spec: StudySpec) -> str:
    """The side of the split on which other seeds are judged: one that no trial saw, if any."""
    return "validation" if spec.data is None or spec.data.test is None else "test"


def look_recipes(
    spec: StudySpec, plan: Plan, look: int | None, keys: Sequence[str]
) -> list[tuple[str, int, Hyperparameters]]:
    """Key of the arm, seed and recipe of every trial of a look, in the order of its numbers.

    A seed's trials stand beside each other, so that whatever slows the machine meets all arms.
    """
    recipes = {} if look is None else {BASELINE: spec.baseline_hyperparameters}
    recipes |= {
        part.key: Hyperparameters.model_validate(part.hyperparameters)
        for part in (plan.ablation if look is None else plan.arms)
        if part.key in keys
    }
    return [
        (key, seed, with_changes(recipe, {"seed": seed}))
        for seed in plan.seeds_of(look)
        for key, recipe in recipes.items()
    ]


def _changes(start: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in other.items() if value != start[name]}

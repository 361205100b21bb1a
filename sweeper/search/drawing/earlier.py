"""What an earlier study of the same space found, as a start for the sampler of this one."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from sweeper.errors import StorageError, UsageError
from sweeper.search import attributes as attrs
from sweeper.search.storage import has_begun, storage_address
from sweeper.search.storages.opening import open_storage
from sweeper.study import StudySpec, identity_differences, load_study, spec_to_plain


def earlier_trials(spec: StudySpec) -> list[FrozenTrial]:
    """The ended trials of the study that this one is to start from; none where it names none.

    They are for the sampler alone: they are no trials of this study, and take nothing from its
    budget. Their numbers are below zero, the newest -1.

    Raises:
        StorageError: The earlier study has not been run.
        UsageError: Its losses would not be comparable, or its space is another.
    """
    study = _earlier_study(spec)
    if study is None:
        return []
    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED))
    return [_numbered(trial, place - len(ended)) for place, trial in enumerate(ended)]


def earlier_seeds(spec: StudySpec) -> set[int]:
    """Seeds of that study's trials and of its plans, by whose losses this one was led.

    Raises:
        StorageError, UsageError: As `earlier_trials`.
    """
    study = _earlier_study(spec)
    if study is None:
        return set()
    recipes = (t.user_attrs.get(attrs.HYPERPARAMETERS, {}) for t in study.get_trials(False))
    trained = {recipe["seed"] for recipe in recipes if "seed" in recipe}
    return trained.union(*study.user_attrs.get(attrs.PLANNED_SEEDS, []))


def _earlier_study(spec: StudySpec) -> optuna.Study | None:
    if spec.search.warm_start is None:
        return None
    earlier = load_study(spec.folder / spec.search.warm_start, [])
    _check_comparable(spec, earlier)
    if not has_begun(earlier):
        raise StorageError(
            f"search.warm_start: {earlier.name} has not been run yet. Next: sweeper run "
            f"{spec.search.warm_start}"
        )
    return optuna.load_study(
        study_name=earlier.folder_name, storage=open_storage(storage_address(earlier)).storage
    )


def _numbered(trial: FrozenTrial, number: int) -> FrozenTrial:
    told = copy.copy(trial)
    told.number = number
    return told


def _check_comparable(spec: StudySpec, earlier: StudySpec) -> None:
    differences = identity_differences(_terms(earlier), _terms(spec))
    if differences:
        listed = "\n".join(f"  {line}" for line in differences)
        raise UsageError(
            f"search.warm_start: {earlier.name!r} cannot tell this study where to search, since "
            f"its losses come from something else:\n{listed}\nAllowed: a study of the same space, "
            "base, data, evaluation, tokens per trial and baseline (seeds, sampler, rules, "
            "hypotheses and limits may differ)"
        )


def _terms(spec: StudySpec) -> dict[str, object]:
    """What two studies must share for a loss to mean the same in both."""
    plain: dict[str, Any] = spec_to_plain(spec)
    kept = {key: plain[key] for key in ("space", "evaluate", "engine")}
    recipe: Mapping[str, object] = plain["baseline"]["hyperparameters"]
    unsearched = {k: v for k, v in recipe.items() if k not in spec.space and k != "seed"}
    data = plain["data"]
    return kept | {
        "model": _place(spec, plain["model"]),
        "data": None if data is None else data | {"train": _place(spec, data["train"])},
        "tokens_per_trial": plain["budget"]["tokens_per_trial"],
        "only_where": plain["search"]["only_where"],
        "baseline": unsearched,
    }


def _place(spec: StudySpec, source: str | None) -> str | None:
    """A path as seen from everywhere; other sources as they are named."""
    if source is None or not (spec.folder / source).exists():
        return source
    return str(Path(spec.folder / source).resolve())
